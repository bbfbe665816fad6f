// The status as JSON: what a running rsock writes to its control socket, and what `rsock status` reads
// from there and prints with --json. docs/control.md describes every field, and they stay: a new version
// adds some, and changes or removes none without another `version`.

import Driver
import Engine
import Wire

/// A running rsock. Times are in seconds.
struct ProgramDocument: Codable, Hashable {
  /// Of this document: a field that meant something else would have another one.
  static let version = 1

  var version: Int
  var role: String
  var pid: Int32
  var uptime: Double
  var taddr: String
  var address: String?
  var listen: String?
  var ports: String
  /// "sealed", "authenticated", or "none".
  var protection: String
  var sessionCount: Int
  var channelCount: Int
  var unconfirmedCount: Int
  var flowCount: Int
  var channelsOpened: UInt64
  var datagramsSent: UInt64
  var datagramsReceived: UInt64
  var notSent: Int
  var notDelivered: Int
  var notReceived: Int
  var drops: [String: UInt64]
  /// What follows in lines of its own on the socket.
  var sessions: [SessionDocument]?

  init(_ status: ProgramStatus) {
    version = Self.version
    role = status.role.rawValue
    pid = status.pid
    uptime = status.age.seconds
    taddr = status.places.taddr
    address = status.places.address
    listen = status.places.listen?.description
    ports = status.places.ports.description
    protection =
      status.tunnel.isSealed ? "sealed" : status.tunnel.hasKey ? "authenticated" : "none"
    sessionCount = status.tunnel.sessions
    channelCount = status.tunnel.channels
    unconfirmedCount = status.tunnel.unconfirmed
    flowCount = status.tunnel.flows
    channelsOpened = status.tunnel.counters.channelsOpened
    datagramsSent = status.tunnel.counters.datagramsSent
    datagramsReceived = status.tunnel.counters.datagramsReceived
    notSent = status.notSent
    notDelivered = status.notDelivered
    notReceived = status.notReceived
    drops = Dictionary(
      uniqueKeysWithValues: status.tunnel.counters.dropped.map { ("\($0.reason)", $0.count) })
  }
}

/// A session of it.
struct SessionDocument: Codable, Hashable {
  var id: String
  var client: String?
  var state: String
  var age: Double
  var idle: Double
  var flowCount: Int
  /// In bytes.
  var largestDatagram: Int?
  var channels: [ChannelDocument]

  init(_ status: SessionStatus) {
    id = "\(status.id)"
    client = status.keyName
    state = status.state.rawValue
    age = status.age.seconds
    idle = status.idle.seconds
    flowCount = status.flows
    largestDatagram = status.largestDatagram
    channels = status.channels.map(ChannelDocument.init)
  }
}

/// A channel of a session.
struct ChannelDocument: Codable, Hashable {
  var id: UInt32
  var carrier: String
  var local: String
  var remote: String
  var state: String
  /// Only where it is.
  var proxied: Bool?
  var age: Double?
  var silence: Double
  var roundTrip: Double?
  var loss: Double?
  var share: Double?
  var sent: TrafficDocument
  var received: TrafficDocument
  /// What passes in a second, from two answers: `rsock status` adds it.
  var rates: RatesDocument?

  init(_ status: ChannelStatus) {
    id = status.id
    carrier = status.carrier.rawValue
    local = "\(status.tuple.local)"
    remote = "\(status.tuple.remote)"
    state = status.state.rawValue
    proxied = status.isProxied ? true : nil
    age = status.age?.seconds
    silence = status.silence.seconds
    roundTrip = status.roundTrip?.seconds
    loss = status.loss?.tenThousandths
    share = status.share.tenThousandths
    sent = TrafficDocument(status.sent)
    received = TrafficDocument(status.received)
  }
}

/// What passed one way.
struct TrafficDocument: Codable, Hashable {
  var segments: UInt64
  var bytes: UInt64
  var datagrams: UInt64

  init(_ traffic: ChannelTraffic) {
    segments = traffic.segments
    bytes = traffic.bytes
    datagrams = traffic.datagrams
  }
}

/// What passes in a second, each way.
struct RatesDocument: Codable, Hashable {
  var sent: RateDocument
  var received: RateDocument
}

/// What passes in a second, one way.
struct RateDocument: Codable, Hashable {
  var segments: Double
  var bytes: Double
  var datagrams: Double

  init(from earlier: TrafficDocument, to later: TrafficDocument, seconds: Double) {
    func rate(_ earlier: UInt64, _ later: UInt64) -> Double {
      later > earlier ? (Double(later - earlier) / seconds).rounded() : 0
    }
    segments = rate(earlier.segments, later.segments)
    bytes = rate(earlier.bytes, later.bytes)
    datagrams = rate(earlier.datagrams, later.datagrams)
  }
}

extension Double {
  fileprivate var tenThousandths: Double { (self * 10_000).rounded() / 10_000 }
}

extension Duration {
  /// In seconds, exact to a microsecond.
  fileprivate var seconds: Double { Double(wholeNanoseconds / 1_000) / 1_000_000 }
}

extension ProgramDocument {
  /// Adds the rates of channels that were there `seconds` ago.
  mutating func addRates(since earlier: ProgramDocument) {
    let seconds = uptime - earlier.uptime
    guard seconds > 0 else { return }
    var known: [String: ChannelDocument] = [:]
    for session in earlier.sessions ?? [] {
      for channel in session.channels { known[session.id + channel.key] = channel }
    }
    for index in sessions?.indices ?? 0..<0 {
      sessions?[index].addRates(since: known, seconds: seconds)
    }
  }
}

extension SessionDocument {
  fileprivate mutating func addRates(since earlier: [String: ChannelDocument], seconds: Double) {
    for index in channels.indices {
      let channel = channels[index]
      guard let before = earlier[id + channel.key] else { continue }
      channels[index].rates = RatesDocument(
        sent: RateDocument(from: before.sent, to: channel.sent, seconds: seconds),
        received: RateDocument(from: before.received, to: channel.received, seconds: seconds))
    }
  }
}

extension ChannelDocument {
  /// A client may open another channel with the same four-tuple.
  fileprivate var key: String { " \(local) \(remote) \(id)" }
}
