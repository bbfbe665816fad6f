// A strict connection tracker as on many routers: nf_conntrack with tcp_be_liberal=0 and tcp_loose=0,
// and the window checks as older kernels have them (tcp_in_window before Linux 6.0), which also
// refuse a segment that ends beyond the advertised window.

import Wire

/// A stateful firewall or NAT on the way; it sees every packet and names those that it would drop.
struct ConnectionTracker {
  private enum State { case synSent, synReceived, established, halfClosed, closed, reset }

  /// What is known of one end (`struct ip_ct_tcp_state`).
  private struct End {
    var end: UInt32 = 0
    var maxEnd: UInt32 = 0
    var maxWindow = 0
    var scale: UInt8 = 0
    var offersScale = false
    var maxAcknowledgment: UInt32?
  }

  private struct Mapping {
    var state = State.synSent
    var ends = [End(), End()]
    var originator: Endpoint
    var expiry: Instant
    var finFrom: Int?
  }

  private struct Key: Hashable {
    let first: Endpoint
    let second: Endpoint
  }

  private var mappings: [Key: Mapping] = [:]
  /// Why packets were INVALID.
  private(set) var complaints: [String] = []

  /// Judges a packet and takes note of it. False where it is INVALID.
  mutating func passes(_ packet: Packet, at now: Instant) -> Bool {
    let key = Self.key(packet)
    var mapping = mappings[key]
    if let known = mapping, known.expiry < now { mapping = nil }
    if packet.flags.intersection([.syn, .ack]) == .syn, mapping.map(Self.isOver) ?? true {
      mappings[key] = Self.new(packet, at: now)
      return true
    }
    guard var known = mapping else { return complain("no mapping", packet, at: now) }
    defer { mappings[key] = known }
    let direction = packet.source == known.originator ? 0 : 1
    if packet.flags.contains(.syn), known.state != .synSent, known.state != .synReceived {
      return true  // ignored by the tracker, left to the ends (TCP_CONNTRACK_IGNORE)
    }
    if let why = Self.judge(packet, direction, &known) { return complain(why, packet, at: now) }
    Self.advance(&known, by: packet, direction, at: now)
    return true
  }

  private mutating func complain(_ why: String, _ packet: Packet, at now: Instant) -> Bool {
    complaints.append(
      "\(now.nanoseconds / 1_000_000) ms: \(why): \(packet.source) > \(packet.destination) "
        + "flags \(packet.flags.rawValue) seq \(packet.sequence) ack \(packet.acknowledgment) "
        + "win \(packet.window) len \(packet.payloadLength)")
    return false
  }

  private static func key(_ packet: Packet) -> Key {
    let (one, other) = (packet.source, packet.destination)
    let isFirst =
      (one.address.high, one.address.low, one.port)
      < (other.address.high, other.address.low, other.port)
    return isFirst ? Key(first: one, second: other) : Key(first: other, second: one)
  }

  private static func isOver(_ mapping: Mapping) -> Bool {
    mapping.state == .closed || mapping.state == .reset || mapping.state == .synSent
  }

  private static func new(_ packet: Packet, at now: Instant) -> Mapping {
    var mapping = Mapping(originator: packet.source, expiry: now + .seconds(120))
    mapping.ends[0] = fresh(packet)
    return mapping
  }

  private static func fresh(_ packet: Packet) -> End {
    var end = End(end: packet.end, maxEnd: packet.end, maxWindow: max(packet.window, 1))
    if let scale = packet.options.windowScale {
      end.scale = scale
      end.offersScale = true
    }
    return end
  }

  /// `tcp_in_window`: nil where the packet is in the window, else the condition that failed.
  private static func judge(
    _ packet: Packet, _ direction: Int, _ mapping: inout Mapping
  ) -> String? {
    if mapping.ends[direction].maxWindow == 0 {
      guard packet.flags.contains(.syn) else { return "reply without SYN" }
      mapping.ends[direction] = fresh(packet)
      if !(mapping.ends[0].offersScale && mapping.ends[1].offersScale) {
        mapping.ends[0].scale = 0
        mapping.ends[1].scale = 0
      }
    }
    var sender = mapping.ends[direction]
    var receiver = mapping.ends[1 - direction]
    let hasNoAcknowledgment =
      !packet.flags.contains(.ack) || packet.flags.contains(.rst) && packet.acknowledgment == 0
    let acknowledgment = hasNoAcknowledgment ? receiver.end : packet.acknowledgment
    guard distance(packet.end, sender.maxEnd) <= 0 else { return "I: beyond the window" }
    guard receiver.maxWindow == 0 || distance(packet.end, sender.end) > -receiver.maxWindow - 1
    else { return "II: before the window" }
    guard distance(acknowledgment, receiver.end) <= 0 else { return "III: acks what was not sent" }
    guard distance(acknowledgment, receiver.end) > -max(sender.maxWindow, 66_000) - 1 else {
      return "IV: acks the far past"
    }
    if packet.flags.contains(.rst), let maximum = receiver.maxAcknowledgment,
      distance(packet.sequence, maximum) < 0
    {
      return "RST of the past"
    }
    let window = packet.flags.contains(.syn) ? packet.window : packet.window << Int(sender.scale)
    sender.maxWindow = max(sender.maxWindow, window)
    if distance(packet.end, sender.end) > 0 { sender.end = packet.end }
    if !hasNoAcknowledgment,
      distance(acknowledgment, sender.maxAcknowledgment ?? acknowledgment) >= 0
    {
      sender.maxAcknowledgment = acknowledgment
    }
    if distance(acknowledgment &+ UInt32(window), receiver.maxEnd) >= 0 {
      receiver.maxEnd = acknowledgment &+ UInt32(max(window, 1))
    }
    mapping.ends[direction] = sender
    mapping.ends[1 - direction] = receiver
    return nil
  }

  private static func advance(
    _ mapping: inout Mapping, by packet: Packet, _ direction: Int, at now: Instant
  ) {
    if mapping.state == .reset { return }
    if packet.flags.contains(.rst) {
      mapping.state = .reset
    } else if packet.flags.contains(.syn) {
      mapping.state = .synReceived
    } else if packet.flags.contains(.fin) {
      mapping.state = mapping.finFrom.map { $0 != direction } ?? false ? .closed : .halfClosed
      if mapping.finFrom == nil { mapping.finFrom = direction }
    } else if mapping.state == .synReceived, direction == 0 {
      mapping.state = .established
    }
    mapping.expiry = now + lifetime(mapping.state)
  }

  /// Linux's defaults; a mapping that an RST closed is not refreshed.
  private static func lifetime(_ state: State) -> Duration {
    switch state {
    case .synSent, .closed: .seconds(120)
    case .synReceived, .halfClosed: .seconds(60)
    case .established: .seconds(432_000)
    case .reset: .seconds(10)
    }
  }

  private static func distance(_ one: UInt32, _ other: UInt32) -> Int {
    Int(Int32(bitPattern: one &- other))
  }
}
