import Samples
import Testing
import Wire

@testable import Engine

@Suite struct SYNCookieTests {
  private let cookie = SYNCookie(key: SipHashKey(11, 22))
  private let tuple = FourTuple(
    local: Endpoint(IPAddress(ipv4: 0xC000_0201), 443),
    remote: Endpoint(IPAddress(ipv4: 0xC000_0299), 40_000))

  private static func moment(_ seconds: Int64) -> Instant {
    Instant(nanoseconds: seconds * 1_000_000_000)
  }

  /// The MSS comes back rounded down to a class, whatever the slot.
  @Test func carriesTheMSS() {
    let expected: [(UInt16, UInt16)] = [
      (0, 536), (535, 536), (536, 536), (1199, 536), (1200, 1200), (1460, 1460), (1459, 1452),
      (8959, 1460), (8960, 8960), (65_495, 8960),
    ]
    for slot in Int64(0)..<8 {
      let now = Self.moment(slot * 64 + 5)
      for (mss, rounded) in expected {
        let number = cookie.make(for: tuple, clientISN: 77, mss: mss, at: now)
        #expect(number >> 30 == UInt32(slot & 3))
        #expect(cookie.validate(number, for: tuple, clientISN: 77, at: now) == rounded)
      }
    }
  }

  /// The classes of IPv6 are those of IPv4 less the longer header.
  @Test func carriesTheMSSOfIPv6() {
    let expected: [(UInt16, UInt16)] = [
      (0, 536), (1219, 1200), (1220, 1220), (1440, 1440), (1439, 1432), (1460, 1440), (8940, 8940),
    ]
    for (mss, rounded) in expected {
      let number = cookie.make(for: Self.tuple6, clientISN: 77, mss: mss, at: Self.moment(5))
      #expect(
        cookie.validate(number, for: Self.tuple6, clientISN: 77, at: Self.moment(5)) == rounded)
    }
  }

  /// Each half of each address counts.
  @Test func belongsToOneConnectionOfIPv6() {
    let now = Self.moment(1000)
    let number = cookie.make(for: Self.tuple6, clientISN: 77, mss: 1440, at: now)
    #expect(cookie.validate(number, for: Self.tuple6, clientISN: 77, at: now) == 1440)
    for end in [\FourTuple.local, \FourTuple.remote] {
      for half in [\IPAddress.high, \IPAddress.low] {
        var other = Self.tuple6
        other[keyPath: end].address[keyPath: half] += 1
        #expect(cookie.validate(number, for: other, clientISN: 77, at: now) == nil)
      }
      var other = Self.tuple6
      other[keyPath: end].port += 1
      #expect(cookie.validate(number, for: other, clientISN: 77, at: now) == nil)
    }
  }

  /// Constant for a connection, another one for the other direction, and 20 bits.
  @Test func flowLabels() {
    let key = SipHashKey(11, 22)
    let label = flowLabel(for: Self.tuple6, key: key)
    #expect(label == flowLabel(for: Self.tuple6, key: key) && label < 1 << 20)
    let back = FourTuple(local: Self.tuple6.remote, remote: Self.tuple6.local)
    #expect(flowLabel(for: back, key: key) != label)
    #expect(flowLabel(for: Self.tuple6, key: SipHashKey(11, 23)) != label)
    #expect(flowLabel(for: tuple, key: key) == 0)
  }

  private static let tuple6 = FourTuple(
    local: Endpoint("[2001:db8::1]:443")!, remote: Endpoint("[2001:db8::99]:40000")!)

  @Test func lastsOneSlotMore() {
    for start in [0, 1, 63, 64 * 3, 64 * 7 + 63] as [Int64] {
      let number = cookie.make(for: tuple, clientISN: 77, mss: 1460, at: Self.moment(start))
      let slotEnd = start - start % 64 + 64
      for second in start..<slotEnd + 64 {
        #expect(
          cookie.validate(number, for: tuple, clientISN: 77, at: Self.moment(second)) == 1460)
      }
      // Also when its two bits come round again.
      for second in stride(from: slotEnd + 64, to: slotEnd + 64 * 9, by: 16) {
        #expect(cookie.validate(number, for: tuple, clientISN: 77, at: Self.moment(second)) == nil)
      }
    }
  }

  @Test func belongsToOneConnection() {
    let now = Self.moment(1000)
    let number = cookie.make(for: tuple, clientISN: 77, mss: 1460, at: now)
    #expect(cookie.validate(number, for: tuple, clientISN: 78, at: now) == nil)
    for change in 0..<4 {
      var other = tuple
      switch change {
      case 0: other.local.port += 1
      case 1: other.remote.port += 1
      case 2: other.local.address.low += 1
      default: other.remote.address.low += 1
      }
      #expect(cookie.validate(number, for: other, clientISN: 77, at: now) == nil)
    }
    let stranger = SYNCookie(key: SipHashKey(11, 23))
    #expect(stranger.validate(number, for: tuple, clientISN: 77, at: now) == nil)
  }

  /// A guess succeeds about twice (two slots) in 2^26 times 4 (the slot bits have to fit).
  @Test func guessesFail() {
    var random = SplitMix64Samples(seed: 3)
    let now = Self.moment(1000)
    var hits = 0
    for _ in 0..<200_000 {
      let guess = UInt32(truncatingIfNeeded: random.next())
      if cookie.validate(guess, for: tuple, clientISN: 77, at: now) != nil { hits += 1 }
    }
    #expect(hits <= 1)
  }
}
