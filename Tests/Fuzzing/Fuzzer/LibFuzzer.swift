/// C's `argv`.
typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

/// libFuzzer's own main, for programs that have one already: calls back with one input after the other until it has had enough.
@_silgen_name("LLVMFuzzerRunDriver")
func runLibFuzzer(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments?>,
    _ callback: @convention(c) (_ bytes: UnsafePointer<UInt8>?, _ length: Int) -> CInt
) -> CInt
