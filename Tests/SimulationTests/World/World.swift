// Hosts, the links between them and a virtual clock: the model is quinn-proto's `Pair`
// (quinn-proto/src/tests/util.rs).
//
//   client ── tracker ──── link: latency, loss, reordering, … ──── tracker ── server

import Engine
import Samples
import Wire

/// What a link does to packets, the same both ways.
struct Conditions {
  var latency = Duration.milliseconds(10)
  /// Each packet is late by up to so much, so packets overtake each other.
  var jitter = Duration.zero
  /// Of 1000 packets, how many are lost.
  var lossPerMille = 0
  /// Of 1000 packets, how many arrive twice.
  var duplicationPerMille = 0
  var isDown = false
}

/// What passed a link in one direction.
struct Traffic {
  var packets = 0
  var bytes = 0
  var segmentsWithPayload = 0
  var payload = 0
  var pureAcknowledgments = 0
  var resets = 0
}

/// Hosts on a virtual clock.
final class World {
  enum Direction: Int { case toServer, toClient }
  /// What happens to a packet on the way: changed, or lost where the function gives nil.
  typealias Middlebox = (Packet, Direction) -> Packet?

  private struct Flight {
    let deadline: Instant
    let order: Int
    let packet: Packet
  }

  static let serverAddress = IPAddress(ipv4: 0xC000_0201)
  private(set) var now = Instant(nanoseconds: 5_000_000_000_000)
  private(set) var server: Host
  /// More addresses of the server's.
  var otherAddresses: Set<IPAddress> = []
  private(set) var clients: [Host] = []
  var client: Host { clients[0] }
  var conditions = Conditions()
  /// What else befalls the channels of fake TCP to some of the server's ports, and those on UDP.
  var lanes: [UInt16: Lane] = [:]
  var udpLanes: [UInt16: Lane] = [:]
  var middlebox: Middlebox?
  /// Whether runs stay whole, as GRO delivers them, or are cut into segments on the way.
  var keepsRuns = false
  private(set) var traffic = [Traffic(), Traffic()]
  /// How long a NAT at the client remembers a mapping of UDP or ICMP on which nothing passes.
  var udpMemory = Duration.seconds(30)
  /// When something last passed, by the two ends, the client's first.
  private var mappings: [FourTuple: Instant] = [:]
  /// What limits each flow, in each direction by itself; nil where nothing does.
  var flowPolicer: Policer?
  private var flowPolicers: [FourTuple: Policer] = [:]
  /// Whether there are trackers at all.
  var hasTrackers = true
  /// Packets larger than the sender's MTU.
  private(set) var oversized = 0
  /// The size of the largest one.
  private(set) var largestPacket = 0
  private var trackers = [ConnectionTracker(), ConnectionTracker()]
  private var flights: [Flight] = []
  private var flightCount = 0
  private var random: SplitMix64

  init(
    ports: ClosedRange<UInt16> = 10_001...10_010, maxChannels: Int = 16, clients: Int = 1,
    seed: UInt64 = 1, secret: UInt64 = 99, family: AddressFamily = .ipv4,
    configure: (inout EngineConfiguration) -> Void = { _ in }
  ) {
    random = SplitMix64(seed: seed)
    var served = EngineConfiguration(role: .server(ports: PortSet([ports])))
    configure(&served)
    let serverAddress = family == .ipv4 ? Self.serverAddress : IPAddress("2001:db8::2:1")!
    server = Host(served, address: serverAddress, secret: secret, at: now)
    for number in 0..<clients {
      var configuration = EngineConfiguration(
        role: .client(
          server: serverAddress, ports: PortSet([ports]), maxChannels: maxChannels))
      configure(&configuration)
      var address = IPAddress(ipv4: 0x0A00_0001 + UInt32(number) << 8)
      if family == .ipv6 { address.high = 0x2001_0DB8_0001_0000 }
      self.clients.append(
        Host(configuration, address: address, secret: seed &* 31 &+ UInt64(number), at: now))
    }
  }

  var complaints: [String] { trackers.flatMap(\.complaints) }

  /// Carriers for both ends of a world.
  static func carriers(_ carriers: [Carrier]) -> (inout EngineConfiguration) -> Void {
    { $0.carriers = carriers }
  }

  /// Another server process takes the place of this one.
  func restartServer(secret: UInt64, configure: (inout EngineConfiguration) -> Void = { _ in }) {
    var configuration = EngineConfiguration(
      role: .server(ports: PortSet([10_001...10_010])))
    configure(&configuration)
    server = Host(configuration, address: server.address, secret: secret, at: now)
  }

  /// A client process ends without a word.
  func killClient() { clients.removeFirst() }

  /// Another client process, behind the same tracker.
  func addClient(_ host: Host) { clients.append(host) }

  // MARK: time

  func run(for duration: Duration) {
    let end = now + duration
    collect()
    var idle = 0
    while true {
      let next = nextMoment
      guard next <= end else { break }
      idle = next > now ? 0 : idle + 1
      precondition(idle < 100_000, "an engine has a deadline that never passes")
      now = max(now, next)
      deliver()
      for host in clients + [server] where host.nextDeadline <= now {
        host.advance(to: now)
      }
      collect()
    }
    now = end
  }

  /// Lets the handshakes finish.
  func connect() { run(for: .seconds(1)) }

  /// Lets the handshakes finish, and an app stream for a while: what happens then finds it in use.
  func connect(streaming duration: Duration, bothWays: Bool = false) -> Exchange {
    connect()
    let exchange = Exchange(self)
    exchange.stream(for: duration, bothWays: bothWays)
    return exchange
  }

  /// Runs until `condition` holds; how long it took, nil where it never did within the limit.
  func run(
    upTo limit: Duration, until condition: () -> Bool
  ) -> Duration? {
    let start = now
    while now - start <= limit {
      if condition() { return now - start }
      run(for: .milliseconds(1))
    }
    return nil
  }

  private var nextMoment: Instant {
    var next = min(server.nextDeadline, flights.first?.deadline ?? .distantFuture)
    for client in clients { next = min(next, client.nextDeadline) }
    return next
  }

  // MARK: the links

  /// Puts everything that the hosts have sent on the links.
  func collect() {
    for client in clients { carry(client, .toServer) }
    carry(server, .toClient)
  }

  private func carry(_ host: Host, _ direction: Direction) {
    for (packet, segmentSize) in host.takeOutgoing() {
      if direction == .toServer, packet.source.address != host.address { continue }
      for var part in keepsRuns ? [packet] : packet.cut(into: segmentSize) {
        if keepsRuns { part.segmentSize = segmentSize }
        if !keepsRuns {
          largestPacket = max(largestPacket, part.bytes.count)
          if part.bytes.count > host.path.mtu { oversized += 1 }
        }
        inject(part, direction)
      }
    }
  }

  /// Sends a packet as if from an end of the link; a forger may as well.
  func inject(_ packet: Packet, _ direction: Direction) {
    count(packet, direction)
    guard passes(packet, trackerOf: direction), !conditions.isDown else { return }
    guard let packet = middlebox.map({ $0(packet, direction) }) ?? packet else { return }
    let port = direction == .toServer ? packet.destination.port : packet.source.port
    let side = packet.isUDP ? \World.udpLanes : \World.lanes
    guard self[keyPath: side][port]?.passes(packet.bytes.count, direction, at: now) != false,
      isWithinLimit(packet)
    else { return }
    let lane = self[keyPath: side][port] ?? Lane()
    if happens(conditions.lossPerMille) || happens(lane.lossPerMille) { return }
    enqueue(packet, delay: lane.delay)
    if happens(conditions.duplicationPerMille) { enqueue(packet, delay: lane.delay) }
  }

  /// Whether the policer of the packet's flow and direction passes it.
  private func isWithinLimit(_ packet: Packet) -> Bool {
    guard let flowPolicer else { return true }
    let flow = FourTuple(local: packet.source, remote: packet.destination)
    return flowPolicers[flow, default: flowPolicer].passes(packet.bytes.count, at: now)
  }

  /// The judgement of the tracker at the end where packets of this direction start.
  private func passes(_ packet: Packet, trackerOf direction: Direction) -> Bool {
    guard hasTrackers else { return true }
    return packet.carrier == .tcp
      ? trackers[direction.rawValue].passes(packet, at: now) : isMapped(packet, direction)
  }

  /// Only the client makes a mapping; whatever passes keeps it.
  private func isMapped(_ packet: Packet, _ direction: Direction) -> Bool {
    let isOutward = isServers(packet.destination.address)
    let key =
      isOutward
      ? FourTuple(local: packet.source, remote: packet.destination)
      : FourTuple(local: packet.destination, remote: packet.source)
    guard isOutward || mappings[key].map({ now - $0 <= udpMemory }) ?? false else { return false }
    mappings[key] = now
    return true
  }

  private func isServers(_ address: IPAddress) -> Bool {
    address == server.address || otherAddresses.contains(address)
  }

  private func count(_ packet: Packet, _ direction: Direction) {
    traffic[direction.rawValue].packets += 1
    traffic[direction.rawValue].bytes += packet.bytes.count
    traffic[direction.rawValue].payload += packet.payloadLength
    if packet.payloadLength > 0 { traffic[direction.rawValue].segmentsWithPayload += 1 }
    if packet.isPureAcknowledgment { traffic[direction.rawValue].pureAcknowledgments += 1 }
    if packet.flags.contains(.rst) { traffic[direction.rawValue].resets += 1 }
  }

  func resetTraffic() { traffic = [Traffic(), Traffic()] }

  private func happens(_ perMille: Int) -> Bool {
    perMille > 0 && Int.random(in: 0..<1000, using: &random) < perMille
  }

  private func enqueue(_ packet: Packet, delay: Duration) {
    let late = Int64.random(
      in: 0...max(conditions.jitter.wholeNanoseconds, 0), using: &random)
    let deadline = now + conditions.latency + delay + .nanoseconds(late)
    flightCount += 1
    let flight = Flight(deadline: deadline, order: flightCount, packet: packet)
    // Nearly sorted already: most packets land at the end.
    var place = flights.endIndex
    while place > 0, flights[place - 1].deadline > deadline { place -= 1 }
    flights.insert(flight, at: place)
  }

  private func deliver() {
    let due = flights.prefix { $0.deadline <= now }
    flights.removeFirst(due.count)
    var rest = due.map(\.packet)[...]
    while let first = rest.first {
      let batch = rest.prefix(64).prefix { $0.destination.address == first.destination.address }
      rest = rest.dropFirst(batch.count)
      if isServers(first.destination.address) {
        server.receive(batch.filter { passes($0, trackerOf: .toClient) }, at: now)
      } else if let host = clients.last(where: { $0.address == first.destination.address }) {
        host.receive(batch.filter { passes($0, trackerOf: .toServer) }, at: now)
      }
      collect()
    }
  }
}
