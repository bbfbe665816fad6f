import Testing
import Wire

@testable import Engine

@Suite struct DialerTests {
  @Test func dialerDrawsDistinctPorts() {
    var random = SplitMix64(seed: 1)
    let ports = PortSet([20_000...20_099])
    var dialer = Dialer(server: .any, ports: ports, limit: 16, random: &random)
    var seen = Set(dialer.slots.map(\.port))
    #expect(seen.count == 16)
    for round in 0..<2000 {
      dialer.redraw(round % 16, random: &random)
      #expect(Set(dialer.slots.map(\.port)).count == 16)
      seen.formUnion(dialer.slots.map(\.port))
    }
    #expect(seen.count == 100)
    #expect(seen.allSatisfy(ports.contains))
  }

  /// They rest until so many others have been used; to another port of the server they are others.
  @Test func latestPortsRest() {
    func tuple(_ number: Int, to port: UInt16 = 10_001) -> FourTuple {
      FourTuple(
        local: Endpoint(.any, UInt16(30_000 + number)), remote: Endpoint(.any, port))
    }
    var latest = LatestPorts()
    for number in 0..<LatestPorts.limit { latest.insert(tuple(number)) }
    #expect((0..<LatestPorts.limit).allSatisfy { latest.contains(tuple($0)) })
    #expect(!latest.contains(tuple(0, to: 10_002)))
    for number in 0..<LatestPorts.limit / 2 { latest.insert(tuple(number, to: 10_002)) }
    #expect(!latest.contains(tuple(LatestPorts.limit / 2 - 1)))
    #expect(latest.contains(tuple(LatestPorts.limit / 2)))
    #expect(latest.contains(tuple(0, to: 10_002)))
  }

  /// Twice as many each time, in the order of the ports, up to the limit; not while new ones are dialled.
  @Test func grows() {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([10_001...10_003]), carriers: [.tcp, .udp], limit: 8,
      random: &random)
    let now = Instant(nanoseconds: 5_000_000_000)
    dialer.slots[5].pending = 1
    #expect(dialer.grow(at: now) == nil)
    dialer.slots[5].failures = 1
    #expect(dialer.grow(at: now) == 6)
    #expect(dialer.slots.count == 12)
    #expect(dialer.grow(at: now + .milliseconds(999)) == nil)
    #expect(dialer.grow(at: now + .seconds(1)) == 8)
    #expect(dialer.grow(at: now + .seconds(2)) == nil)
    let ports = dialer.slots.filter { $0.carrier == .udp }.map(\.port)
    #expect(ports == [10_001, 10_002, 10_003, 10_001, 10_002, 10_003, 10_001, 10_002])
  }

  /// As many to each port, and where that is too many, a few have one more than the others.
  @Test(arguments: [(3, 16, [3, 3, 3]), (6, 16, [5, 5, 6]), (64, 2, [0, 1, 1])])
  func severalChannelsToEachPort(_ each: Int, _ limit: Int, _ expected: [Int]) {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([5...7]), carriers: [.tcp, .udp], channelsPerPort: each,
      limit: limit, random: &random)
    for carrier in [Carrier.tcp, .udp] {
      let ports = dialer.slots.filter { $0.carrier == carrier }.map(\.port)
      #expect((5...7).map { port in ports.count { $0 == port } }.sorted() == expected)
    }
    // A turn of an outage is one port after the other.
    let turns = (0..<3).map { _ in dialer.takeTurn().map { dialer.slots[$0].port } }
    if limit > 2 { #expect(Set(turns.joined()) == [5, 6, 7]) }
  }

  @Test func dialerTakesTurns() {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([5...7]), limit: 16, random: &random)
    #expect(dialer.slots.map(\.port) == [5, 6, 7])
    let turns = (0..<6).flatMap { _ in dialer.takeTurn() }
    #expect(turns == [0, 1, 2, 0, 1, 2])
    dialer.redraw(0, random: &random)
    #expect(dialer.slots[0].port == 5)
    #expect(dialer.isMissing)
    dialer.isParked = true
    #expect(!dialer.isMissing)
    dialer.slots[1].isSuspect = true
    #expect(dialer.isMissing)
  }

  /// Each turn has one slot of each carrier, since one may be blocked; each has a first channel.
  @Test func carriersTakeTurns() {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([5...7]), carriers: [.tcp, .udp], limit: 2, random: &random)
    #expect(dialer.slots.count == 4)
    for turn in 0..<4 {
      let slots = dialer.takeTurn().map { dialer.slots[$0] }
      #expect(slots.map(\.carrier) == [.tcp, .udp])
      #expect(Set(slots.map(\.port)).count == 1)
      #expect(slots[0].port == dialer.slots[turn % 2 * 2].port)
    }
    dialer.slots[3].channel = 8
    #expect(dialer.firstChannel(.udp) == 8 && dialer.firstChannel(.tcp) == nil)
    for round in 0..<100 { dialer.redraw(round % 4, random: &random) }
    for carrier in [Carrier.tcp, .udp] {
      #expect(Set(dialer.slots.filter { $0.carrier == carrier }.map(\.port)).count == 2)
    }
  }

  /// A carrier without ports gets as many channels as the others, and none is drawn anew.
  @Test(arguments: [(1, 16, 3), (3, 16, 9), (3, 4, 4)])
  func channelsWithoutPorts(_ each: Int, _ limit: Int, _ expected: Int) {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([5...7]), carriers: [.tcp, .icmp], channelsPerPort: each,
      limit: limit, random: &random)
    for slot in dialer.slots.indices { dialer.redraw(slot, random: &random) }
    for carrier in [Carrier.tcp, .icmp] {
      let ports = dialer.slots.filter { $0.carrier == carrier }.map(\.port)
      #expect(ports.count == expected)
      #expect(ports.allSatisfy { ($0 == 0) == (carrier == .icmp) })
    }
  }

  /// What is never answered is dialled ever more seldom, until the network is another.
  @Test func failuresMakeItWait() {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(server: .any, ports: PortSet([5...5]), limit: 1, random: &random)
    var pauses: [Duration] = []
    for failures in 0..<9 {
      dialer.slots[0].failures = failures
      pauses.append(dialer.slots[0].pause)
    }
    #expect(
      pauses == [.milliseconds(950), .milliseconds(950)]
        + [4, 8, 16, 32, 64, 64, 64].map { .seconds($0) })
    dialer.forgetFailures()
    #expect(dialer.slots[0].pause == .milliseconds(950))
  }
}
