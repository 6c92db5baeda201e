import Logging
import MeshCore
import NIOCore
import Store

extension Cell {
    /// The store's own report: it connected, or it is out of reach.
    func storeChanged(_ state: StoreState) {
        switch state {
        case .up: attachStore()
        case .down(let reason):
            guard storeKeeper.isUp else { return }
            context.logger.warning("the region's store is out of reach", metadata: ["cell": "\(index)", "reason": "\(reason)"])
            storeKeeper.lost()
        }
    }

    /// A log had no fence although it was opened: the store is not the one that was attached.
    func storeLost() {
        storeKeeper.lost()
        attachStore()
    }

    /// Asks which incarnation the store is, and has every root open its log anew before its next append.
    func attachStore() {
        guard maySpeakToStore, store.state == .up, storeKeeper.beginAttach() else { return }
        var generator = SystemRandomNumberGenerator()
        let freshID = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        store.attach(freshID: freshID, knownEpoch: storeKeeper.knownEpoch).assumeIsolated().whenComplete { [self] result in
            storeKeeper.attached(result)
            switch result {
            case .success(let identity):
                context.logger.info(
                    "attached to the region's store",
                    metadata: ["cell": "\(index)", "incarnation": "\(identity.incarnation)", "epoch": "\(identity.epoch)"])
                for hub in hubs.values { hub.root?.storeAttached() }
                newsOfStore(identity.epoch)
            case .failure(let error):
                context.logger.warning("the region's store could not be attached", metadata: ["error": "\(error)"])
            }
        }
    }
}
