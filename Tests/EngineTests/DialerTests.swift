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

  @Test func dialerTakesTurns() {
    var random = SplitMix64(seed: 1)
    var dialer = Dialer(
      server: .any, ports: PortSet([5...7]), limit: 16, random: &random)
    #expect(dialer.slots.map(\.port) == [5, 6, 7])
    let turns = (0..<6).map { _ in dialer.takeTurn() }
    #expect(turns == [0, 1, 2, 0, 1, 2])
    dialer.redraw(0, random: &random)
    #expect(dialer.slots[0].port == 5)
    #expect(dialer.isMissing)
    dialer.isParked = true
    #expect(!dialer.isMissing)
    dialer.slots[1].isSuspect = true
    #expect(dialer.isMissing)
  }
}
