import FuzzTargets

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The target that the environment names. libFuzzer's callback takes nothing with it, so it is found here.
private let target = getenv("FUZZ_TARGET").flatMap { FuzzTarget(rawValue: String(cString: $0)) }

/// What SwiftPM makes of `main` in this target. The arguments are libFuzzer's.
@_cdecl("Fuzzer_main")
func fuzzerMain(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
    guard target != nil else {
        print("FUZZ_TARGET must be one of: \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
        return 2
    }
    var count = count
    var arguments = arguments
    return runLibFuzzer(&count, &arguments) { bytes, length in
        target?.run(UnsafeRawBufferPointer(start: bytes, count: length))
        return 0
    }
}
