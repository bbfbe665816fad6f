import Crypto
import Samples
import Testing
import Wire

@testable import Engine

@Suite struct KeyRingTests {
  private static let hour: UInt64 = 497_222
  private static let millisecondsPerHour: UInt64 = 3_600_000

  private static func key(_ number: UInt64, name: String? = nil) -> NamedKey {
    HandshakePair.key(number, name: name)
  }

  private static func hint(_ period: HintPeriod, of named: NamedKey) -> UInt32 {
    period.hint(HandshakeKeys(named.key))
  }

  private static let tuple = FourTuple(
    local: Endpoint(IPAddress(ipv4: 0xC000_0201), 443),
    remote: Endpoint(IPAddress(ipv4: 0xC000_0202), 40_000))

  @Test func everyPeriodThatCountsIsFound() throws {
    let named = Self.key(1)
    var ring = KeyRing([named, Self.key(2)])
    // From the first to the last millisecond of the hour.
    for millisecond in [0, 1, Self.millisecondsPerHour - 1] {
      let time = Self.hour * Self.millisecondsPerHour + millisecond
      #expect(HintPeriod.containing(milliseconds: time) == .hour(Self.hour))
      for hour in Self.hour - 3...Self.hour + 3 {
        let matches = ring.matches(Self.hint(.hour(hour), of: named), at: time)
        let isNear = (Self.hour - 1...Self.hour + 1).contains(hour)
        #expect(matches.map(\.name) == (isNear ? [named.name] : []), "hour \(hour)")
        #expect(matches.allSatisfy { !$0.lacksClock })
      }
      let matches = ring.matches(Self.hint(.noClock, of: named), at: time)
      let match = try #require(matches.first)
      #expect(match.name == named.name)
      #expect(match.lacksClock)
      #expect(match.key == HandshakeKeys(named.key).exchange)
    }
  }

  @Test func hintsFollowTheClockBothWays() {
    let named = Self.key(1)
    var ring = KeyRing([named])
    for hour in [Self.hour, Self.hour + 1, Self.hour + 1000, Self.hour, 0] {
      let time = hour * Self.millisecondsPerHour + 5
      let matches = ring.matches(Self.hint(.hour(hour), of: named), at: time)
      let others = ring.matches(Self.hint(.hour(hour + 7), of: named), at: time)
      #expect(matches.count == 1 && others.isEmpty)
    }
  }

  @Test func eachOfManyKeysIsFoundByItsHint() {
    let keys = (1...300).map { Self.key($0) }
    var ring = KeyRing(keys)
    let time = Self.hour * Self.millisecondsPerHour
    for named in keys {
      for period in [HintPeriod.hour(Self.hour), .noClock] {
        let names = ring.matches(Self.hint(period, of: named), at: time).map(\.name)
        #expect(names == [named.name])
      }
    }
    var random = SplitMix64Samples(seed: 9)
    let strangers = (0..<10_000).count { _ in
      !ring.matches(UInt32(truncatingIfNeeded: random.next()), at: time).isEmpty
    }
    // 1200 hints in 2^32: 0.003 hits are to be expected.
    #expect(strangers <= 1)
  }

  /// Two keys whose hints are the same in this hour, found by trying.
  @Test func keysWithTheSameHintAreBothTried() {
    let twins = [Self.key(201_738), Self.key(202_910)]
    let hints = twins.map { Self.hint(.hour(Self.hour), of: $0) }
    #expect(hints == [0x6A22_68C7, 0x6A22_68C7])
    var ring = KeyRing(twins + [Self.key(1)])
    let matches = ring.matches(hints[0], at: Self.hour * Self.millisecondsPerHour)
    #expect(Set(matches.map(\.name)) == Set(twins.map(\.name)))
    #expect(Set(twins.map { Self.hint(.hour(Self.hour + 1), of: $0) }).count == 2)
    for twin in twins {
      var setup = HandshakePair.Setup()
      (setup.serverKeys, setup.clientKey) = (twins, twin)
      var pair = HandshakePair(setup)
      let opened = pair.open()
      #expect(opened.client == 1 && opened.server == 1, "\(twin.name)")
    }
  }

  @Test func knowsItsKeys() {
    let ring = KeyRing([Self.key(1), Self.key(2)])
    #expect(ring.contains(Self.key(1)) && ring.contains(Self.key(2)))
    #expect(!ring.contains(Self.key(3)))
    #expect(!ring.contains(Self.key(1, name: "another")))
    #expect(!ring.contains(Self.key(3, name: "client-1")), "a name with another key")
    #expect(ring.isShared && !ring.isEmpty)
    #expect(!KeyRing([Self.key(1)]).isShared)
    #expect(KeyRing([]).isEmpty)
  }

  @Test func everyUseHasAKeyOfItsOwn() {
    let named = Self.key(1)
    let derived = HandshakeKeys(named.key)
    #expect(derived.exchange != derived.hint)
    #expect(derived.exchange != named.key && derived.hint != named.key)
    #expect(HandshakeKeys(Self.key(2).key).exchange != derived.exchange)
    #expect(HandshakeKeys(Self.key(1).key).hint == derived.hint)
  }

  /// The token of an RST is the same after a restart, and nobody else's.
  @Test func resetTokens() {
    let token = KeyRing([Self.key(1), Self.key(2)]).resetToken(for: Self.tuple)
    #expect(KeyRing([Self.key(2), Self.key(1)]).resetToken(for: Self.tuple) == token)
    #expect(KeyRing([Self.key(1)]).resetToken(for: Self.tuple) != token)
    #expect(
      KeyRing([Self.key(1), Self.key(3, name: "client-2")]).resetToken(for: Self.tuple) != token)
    let ring = KeyRing([Self.key(1), Self.key(2)])
    var others: Set<ResetToken> = [token]
    for change in 0..<4 {
      var other = Self.tuple
      switch change {
      case 0: other.local.port += 1
      case 1: other.remote.port += 1
      case 2: other.local.address.low += 1
      default: other.remote.address.low += 1
      }
      others.insert(ring.resetToken(for: other))
    }
    others.insert(
      ring.resetToken(for: FourTuple(local: Self.tuple.remote, remote: Self.tuple.local)))
    #expect(others.count == 6)
    let six = FourTuple(
      local: Endpoint("[2001:db8::1]:443")!, remote: Endpoint("[2001:db8::2]:40000")!)
    others.insert(ring.resetToken(for: six))
    for end in [\FourTuple.local, \FourTuple.remote] {
      for half in [\IPAddress.high, \IPAddress.low] {
        var other = six
        other[keyPath: end].address[keyPath: half] += 1
        others.insert(ring.resetToken(for: other))
      }
    }
    #expect(others.count == 11)
  }
}
