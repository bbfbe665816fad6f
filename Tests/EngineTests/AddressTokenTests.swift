import Testing
import Wire

@testable import Engine

@Suite struct AddressTokenTests {
  private let token = AddressToken(key: SipHashKey(11, 22))
  private let tuple = FourTuple(
    local: Endpoint(IPAddress(ipv4: 0xC000_0201), 443),
    remote: Endpoint(IPAddress(ipv4: 0xC000_0299), 40_000))

  private static func moment(_ seconds: Int64) -> Instant {
    Instant(nanoseconds: seconds * 1_000_000_000)
  }

  /// Valid in its slot of 64 s and the next one.
  @Test func lastsTwoSlots() {
    for start in Int64(0)..<64 {
      let made = token.make(for: tuple, channel: 7, at: Self.moment(6400 + start))
      for age in Int64(0)..<200 {
        let isValid = token.isValid(
          made, for: tuple, channel: 7, at: Self.moment(6400 + start + age))
        #expect(isValid == (start + age < 128))
      }
    }
  }

  @Test func belongsToItsChannelAndEndpoints() {
    let now = Self.moment(1000)
    let made = token.make(for: tuple, channel: 7, at: now)
    #expect(token.isValid(made, for: tuple, channel: 7, at: now))
    var others = [tuple, tuple, tuple, tuple]
    others[0].local.port += 1
    others[1].remote.port += 1
    others[2].remote.address = IPAddress(ipv4: 0xC000_029A)
    others[3].local.address = IPAddress(high: 0x2001_0DB8_0000_0000, low: 1)
    for other in others { #expect(!token.isValid(made, for: other, channel: 7, at: now)) }
    #expect(!token.isValid(made, for: tuple, channel: 8, at: now))
    #expect(!AddressToken(key: SipHashKey(11, 23)).isValid(made, for: tuple, channel: 7, at: now))
    for bit in 0..<64 { #expect(!token.isValid(made ^ 1 << bit, for: tuple, channel: 7, at: now)) }
  }
}
