// SIGHUP reads the key file again, so that a client can be let in or shut out.

import Engine
import Logging

extension Tunnel {
  /// Reads the key file again, where there is one. Where that fails, the keys stay what they were.
  mutating func reloadKeys() {
    guard case .file(let file) = keySource else { return }
    do throws(StartError) {
      let keys = try file.load()
      engine.setKeys(keys, at: now)
      log.notice("keys: \(keys.count)")
    } catch {
      log.error("the keys stay what they were. \(error.sentence)")
    }
  }
}
