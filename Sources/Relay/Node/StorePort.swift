import Logging
import MeshConfiguration
import MeshCore
import NIOCore
import Store
import TLS

/// A store connection that was opened before its cell was there: remembers who is to be told about it.
final class StoreHolder {
    let store: any RegionStore
    private let listener: Listener

    init(_ make: (@escaping (StoreState) -> Void) -> any RegionStore) {
        let listener = Listener()
        self.listener = listener
        store = make { listener.hear?($0) }
    }

    /// Set once the cell exists. Kept with the store, which outlives this holder: what happens to the store later is heard as well.
    func onStateChange(_ hear: @escaping (StoreState) -> Void) { listener.hear = hear }

    private final class Listener {
        var hear: ((StoreState) -> Void)?
    }
}

/// A store connection and the event loop it belongs to.
struct StorePort: Sendable {
    let loop: any EventLoop
    let bound: NIOLoopBound<StoreHolder>

    /// Called on `loop`.
    static func open(
        _ configuration: StoreConfiguration, on loop: any EventLoop, encryption: TLSCredentials?, embedded: EmbeddedStoreData,
        limits: StoreLimits, logger: Logger
    ) -> StorePort {
        let holder = StoreHolder { changed in
            switch configuration {
            case .redis(let address):
                RedisStore(
                    address: .host(address.host, port: address.port), on: loop, encryption: encryption, limits: limits, logger: logger,
                    onStateChange: changed)
            case .embedded:
                EmbeddedStore(data: embedded, on: loop, onStateChange: changed)
            }
        }
        holder.store.start()
        return StorePort(loop: loop, bound: NIOLoopBound(holder, eventLoop: loop))
    }
}
