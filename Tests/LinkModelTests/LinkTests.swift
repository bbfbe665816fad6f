import Samples
import Testing
import Wire

@testable import LinkModel

@Suite struct LinkTests {
  @Test func delayAndRateAreExact() throws {
    let link = try TestLink("delay 40ms", "up rate 100mbit queue 500k")
    for slot in 0..<3 { #expect(link.arrive(Frames.udp(.up), slot: slot, .up, at: .zero)) }
    #expect(link.arrive(Frames.udp(.down), slot: 9, .down, at: .zero))
    #expect(link.leaveAll(.down).map(\.time) == [.milliseconds(40)])
    // 1414 bytes with the Ethernet header take 113.12 us at 100 Mbit/s.
    let times = link.leaveAll(.up).map(\.time)
    #expect(times == (1...3).map { .milliseconds(40) + .nanoseconds(113_120 * $0) })
  }

  @Test func theQueueHoldsWhatItIsToHold() throws {
    let link = try TestLink("rate 100mbit queue 14140")
    let accepted = (0..<20).filter { link.arrive(Frames.udp(.up), slot: $0, .up, at: .zero) }
    #expect(accepted == Array(0..<10))
    #expect(link.counters(.up)[.overflowed] == 10)
    #expect(link.arrive(Frames.udp(.up), .up, at: .microseconds(114)), "one has left")
    #expect(!link.arrive(Frames.udp(.up), .up, at: .microseconds(114)))
  }

  @Test func lossTakesItsShare() throws {
    let link = try TestLink("loss 2%")
    for slot in 0..<100_000 { link.arrive(Frames.udp(.up), slot: slot, .up, at: .zero) }
    // Four standard deviations of the binomial distribution: 177.
    #expect(abs(link.counters(.up)[.lost] - 2000) < 177)
    #expect(link.leaveAll(.up).count == 100_000 - link.counters(.up)[.lost])
  }

  @Test func jitterKeepsOrderAndReorderingDoesNot() throws {
    let link = try TestLink("delay 10ms jitter 20ms", "down reorder 10% by 5ms")
    for slot in 0..<1000 {
      let time = Duration.microseconds(slot * 100)
      #expect(link.arrive(Frames.udp(.up), slot: slot, .up, at: time))
      #expect(link.arrive(Frames.udp(.down), slot: slot, .down, at: time))
    }
    let up = link.leaveAll(.up)
    #expect(up.map(\.slot) == Array(0..<1000))
    let waits = up.map { $0.time - .microseconds($0.slot * 100) }
    #expect(waits.min()! >= .milliseconds(10) && waits.max()! <= .milliseconds(30))
    #expect(waits.max()! - waits.min()! > .milliseconds(5))
    let down = link.leaveAll(.down).map(\.slot)
    #expect(down.sorted() == Array(0..<1000) && down != Array(0..<1000))
    #expect((50...150).contains(link.counters(.down)[.reordered]))
    let punctual = zip(down, down.dropFirst()).filter { $0 < $1 }.count
    #expect(punctual > 700, "the others stay in order")
  }

  @Test func policersAreOnePerFourTuple() throws {
    let link = try TestLink("police udp 2mbit 10k", "police tcp 10mbit 10k")
    // A second at 10,000 packets: far above every rate.
    var passed = [0, 0, 0]
    for index in 0..<10_000 {
      let time = Duration.microseconds(index * 100)
      if link.arrive(Frames.udp(.up, client: 1), .up, at: time) { passed[0] += 1414 }
      if link.arrive(Frames.udp(.up, client: 2), .up, at: time) { passed[1] += 1414 }
      let segment = Frames.ipv4(.up, 6, Frames.tcpSegment(.up, payloadCount: 1360))
      if link.arrive(segment, .up, at: time) { passed[2] += 1414 }
    }
    for (bytes, rate) in zip(passed, [250_000, 250_000, 1_250_000]) {
      #expect((rate + 10_000 - 2 * 1414...rate + 10_000).contains(bytes))
    }
    #expect(link.arrive(Frames.ipv4(.up, 1, [8, 0, 0, 0]), .up, at: .zero))
    let dropped = 30_000 - passed.reduce(0, +) / 1414
    #expect(link.counters(.up)[.policed] == dropped)
  }

  @Test func blockedProtocolsAndOutages() throws {
    let link = try TestLink("block udp")
    #expect(!link.arrive(Frames.udp(.up), .up, at: .zero))
    #expect(link.arrive(Frames.ipv4(.up, 1, [8, 0, 0, 0]), .up, at: .zero))
    try link.apply("unblock udp")
    try link.apply("down outage 2s")
    #expect(link.arrive(Frames.udp(.up), .up, at: .zero))
    #expect(!link.arrive(Frames.udp(.down), .down, at: .milliseconds(1999)))
    #expect(link.arrive(Frames.udp(.down), .down, at: .seconds(2)))
    try link.apply("outage on", at: .seconds(3))
    #expect(!link.arrive(Frames.udp(.up), .up, at: .seconds(3000)))
    let arp = Frames.ethernet(.up, type: 0x0806, [UInt8](repeating: 0, count: 28))
    #expect(link.arrive(arp, .up, at: .seconds(3000)))
    try link.apply("outage off", at: .seconds(3000))
    #expect(link.arrive(Frames.udp(.up), .up, at: .seconds(3000)))
    #expect(link.counters(.up)[.blocked] == 1 && link.counters(.up)[.neighbourly] == 1)
    #expect(link.counters(.up)[.cut] == 1 && link.counters(.down)[.cut] == 1)
  }

  @Test func blackholesSwallowWhatTheyAreToSwallow() throws {
    let link = try TestLink("blackhole flow udp 4000 10001", "blackhole port tcp 443")
    func passes(_ client: UInt16, _ server: UInt16) -> [Bool] {
      let segment = Frames.tcpSegment(.up, client: client, server: server)
      return [
        link.arrive(Frames.udp(.up, client: client, server: server), .up, at: .zero),
        link.arrive(Frames.udp(.down, client: client, server: server), .down, at: .zero),
        link.arrive(Frames.ipv4(.up, 6, segment), .up, at: .zero),
      ]
    }
    #expect(passes(4000, 10_001) == [false, false, true])
    #expect(passes(4001, 10_001) == [true, true, true])
    #expect(passes(4000, 443) == [true, true, false])
    try link.apply("blackhole none")
    #expect(passes(4000, 10_001) == [true, true, true])
    try link.apply("down blackhole larger 1399")
    #expect(passes(4000, 10_001) == [true, false, true])
    #expect(link.arrive(Frames.udp(.down, byteCount: 1399), .down, at: .zero))
    #expect(link.counters(.up)[.blackholed] == 2 && link.counters(.down)[.blackholed] == 2)
  }

  @Test(arguments: [(1, 0), (2, 1), (5, 2), (6, 3)])
  func halfOfThePortsDieAfterAMegabyte(ports: Int, doomed: Int) throws {
    let link = try TestLink("blackhole ports 50% after 1M")
    var passed = [Int](repeating: 0, count: ports)
    for index in 0..<2000 * ports {
      let (port, direction) = (index % ports, Direction.allCases[index / ports % 2])
      let server = UInt16(10_001 + port)
      if link.arrive(Frames.udp(direction, server: server), direction, at: .zero) {
        passed[port] += 1400
      }
    }
    let dead = passed.filter { $0 < 2_800_000 }
    #expect(dead.count == doomed)
    #expect(dead.allSatisfy { (1_000_000..<1_001_400).contains($0) })
  }

  @Test func aFlowFreezesAfterItsBudget() throws {
    let link = try TestLink("blackhole flows tcp after 16k")
    let segment = Frames.tcpSegment(.up, payloadCount: 1360)
    let other = Frames.tcpSegment(.up, client: 4001, payloadCount: 1360)
    let passed = (0..<20).filter { _ in
      link.arrive(Frames.ipv4(.up, 6, segment), .up, at: .zero)
    }
    #expect(passed.count == 12)
    #expect(link.arrive(Frames.ipv4(.up, 6, other), .up, at: .zero))
  }

  @Test func everyFrameIsAccountedFor() throws {
    let link = try TestLink(
      "rate 20mbit queue 30k", "delay 5ms jitter 5ms", "loss 3%", "reorder 5% by 3ms",
      "police udp 5mbit 5k", "blackhole larger 1300", "reset every 10ms")
    var left = 0
    for index in 0..<5000 {
      let time = Duration.microseconds(index * 200)
      let size = 500 + index * 7 % 900
      link.arrive(Frames.udp(.up, client: UInt16(index % 5), byteCount: size), .up, at: time)
      let segment = Frames.tcpSegment(.up, payloadCount: 500)
      link.arrive(Frames.ipv4(.up, 6, segment), .up, at: time)
      link.arrive(Frames.ipv4(.down, 6, Frames.tcpSegment(.down)), .down, at: time)
      for frame in link.takeDueResets(at: time) { link.inject(frame, at: time) }
      left += link.leaveAll(.up, until: time).count
    }
    let counters = link.counters(.up)
    let fates: [Count] = [.sent, .waiting, .lost, .overflowed, .policed, .blackholed]
    for fate in fates + [.reordered, .resets] { #expect(counters[fate] > 0, "\(fate)") }
    #expect(
      counters[.arrived] + counters[.resets] == fates.map { counters[$0] }.reduce(0, +))
    #expect(counters[.sent] == left)
  }

  @Test func flowsAreBounded() throws {
    let link = try TestLink(flowLimit: 100)
    for client in 0..<1000 {
      let time = Duration.milliseconds(client)
      #expect(link.arrive(Frames.udp(.up, client: UInt16(client)), .up, at: time))
      #expect(link.flowLines.count <= 100)
    }
    #expect(link.flowLines.contains { $0.hasPrefix("udp 10.77.1.1:999 10.77.1.2:10001 up 1400 ") })
  }

  @Test func equalMomentsKeepTheirOrderAndOthersAreSorted() {
    var queue = ReleaseQueue()
    var random = SplitMix64(seed: 3)
    var expected: [(time: Int64, slot: Int)] = []
    for slot in 0..<5000 {
      let time = Int64(random.next() % 200)
      queue.insert(slot: slot, byteCount: 1, release: Instant(nanoseconds: time))
      expected.append((time, slot))
    }
    expected.sort { $0 < $1 }
    let early = queue.takeDue(at: Instant(nanoseconds: -1))
    #expect(early == nil)
    for (time, slot) in expected {
      let waiting = queue.takeDue(at: Instant(nanoseconds: 200))
      #expect(waiting?.slot == slot && waiting?.release.nanoseconds == time)
    }
    #expect(queue.count == 0)
  }
}
