import Crypto
import Testing
import Wire

@testable import Engine

@Suite struct KeyReplacementTests {
  private static let now = Instant(nanoseconds: 1_000_000_000)

  private static func server() -> TunnelEngine {
    TunnelEngine(
      EngineConfiguration(role: .server(ports: PortSet([10_001...10_001]))),
      entropy: Entropy(
        secret: SipHashKey(1, 2), keySeed: SecretKey { $0.set(3 as UInt8, at: 0) },
        session: SessionID(high: 4, low: 5), seed: 6),
      at: now)
  }

  /// Found by fuzzing: the old keys stayed in memory for ever, and with them what was made of them.
  @Test func keysThatAreReplacedAreForgotten() {
    var engine = Self.server()
    weak var old: SecretKey?
    do {
      let key = SecretKey { $0.set(7 as UInt8, at: 0) }
      old = key
      engine.setKeys([NamedKey(name: "old", key: key)], at: Self.now)
    }
    #expect(old != nil)
    engine.setKeys([], at: Self.now)
    #expect(old == nil)
  }
}
