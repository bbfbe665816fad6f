// The commands: on the command line one argument each, on standard input one line each.

public import Wire

/// What a command asks for beside a change of the settings.
public enum Request: Equatable, Sendable {
  /// Nothing.
  case nothing
  /// The counters of both ways.
  case counters
  /// What is known of each flow.
  case flows
  /// RSTs into every TCP connection, now.
  case resets
}

extension Settings {
  /// All commands, for people.
  public static let help = """
    Commands ("up" is from the client to the server; without "up" or "down" both ways):

      [up|down] rate RATE queue BYTES     a bottleneck, with so many bytes before it: more are dropped
      [up|down] rate none
      [up|down] delay TIME [jitter TIME]  every packet so late, and up to so much later, in order
      [up|down] loss SHARE
      [up|down] reorder SHARE by TIME     holds that share back for so long, so that others overtake
      [up|down] police tcp|udp RATE BYTES each four-tuple, to that rate and burst
      [up|down] police tcp|udp none
      [up|down] outage on|off|TIME
      [up|down] blackhole larger BYTES    IP packets over that size
      blackhole flow tcp|udp CLIENT-PORT SERVER-PORT
      blackhole port [tcp|udp] PORT       at either end
      blackhole flows [tcp|udp] after BYTES
                                          each four-tuple, once it carried so much, both ways summed
      blackhole ports [tcp|udp] SHARE after BYTES
                                          that share of the server's ports, once each had so much
      blackhole none                      closes all of them
      block tcp|udp|icmp                  no packet of that protocol passes
      unblock tcp|udp|icmp
      reset every TIME | reset none       RSTs into every TCP connection that is in use, to both ends,
                                          each right behind what its peer sent last
      reset now
      counters                            a line for each way
      flows                               a line for each four-tuple

    RATE is like 100mbit, 64kbit or 1.5gbit; BYTES like 1400, 64k (64,000) or 1M (1,000,000); TIME like
    500us, 40ms or 2s; SHARE like 1%. Rates count Ethernet headers, sizes and sums do not.
    A packet passes, in this order: outage, block, blackhole, police, loss, rate, delay and reorder.
    """

  /// Obeys a command. Throws, and changes nothing, where it is none.
  public mutating func apply(_ command: String, at now: Instant) throws(CommandError) -> Request {
    var changed = self
    do {
      var words = Words(command)
      let request = try changed.read(&words, at: now)
      try words.end()
      self = changed
      return request
    } catch let error as CommandError {
      throw error
    } catch {
      preconditionFailure("nothing else is thrown")
    }
  }

  private mutating func read(_ words: inout Words, at now: Instant) throws -> Request {
    if words.skip("counters") { return .counters }
    if words.skip("flows") { return .flows }
    if words.skip("reset") { return try changeResets(&words) }
    if words.skip("block") {
      blocked.insert(try words.transport())
    } else if words.skip("unblock") {
      blocked.remove(try words.transport())
    } else if words.isBlackholeOfBothWays {
      try words.require("blackhole")
      try blackholes.change(&words)
    } else {
      let directions = words.direction().map { [$0] } ?? Direction.allCases
      try changeWays(&words, directions, at: now)
    }
    return .nothing
  }

  private mutating func changeResets(_ words: inout Words) throws -> Request {
    if words.skip("now") { return .resets }
    if words.skip("none") {
      resetInterval = nil
      return .nothing
    }
    try words.require("every")
    let interval = try words.duration()
    // Less would be a flood of its own.
    guard interval >= .milliseconds(1) else { throw words.error("at least 1ms") }
    resetInterval = interval
    return .nothing
  }

  private mutating func changeWays(
    _ words: inout Words, _ directions: [Direction], at now: Instant
  ) throws {
    let start = words
    for direction in directions {
      words = start
      if words.skip("blackhole") {
        try words.require("larger")
        blackholes.largest[direction] = try words.bytes()
      } else {
        try ways[direction].change(&words, at: now)
      }
    }
  }
}

extension PathSettings {
  fileprivate mutating func change(_ words: inout Words, at now: Instant) throws {
    if words.skip("rate") {
      bottleneck = try words.optional { words throws in
        let rate = try words.rate()
        try words.require("queue")
        return Bottleneck(rate: rate, queue: try words.bytes())
      }
    } else if words.skip("delay") {
      delay = try words.duration()
      jitter = words.skip("jitter") ? try words.duration() : .zero
    } else if words.skip("loss") {
      loss = try words.share()
    } else if words.skip("reorder") {
      reordering = try words.share()
      try words.require("by")
      holdBack = try words.duration()
    } else if words.skip("police") {
      let transport = try words.transport()
      policing[transport] = try words.optional { words throws in
        Policing(rate: try words.rate(), burst: try words.bytes())
      }
    } else if words.skip("outage") {
      try changeOutage(&words, at: now)
    } else {
      throw words.error("a command (see --help)")
    }
  }

  private mutating func changeOutage(_ words: inout Words, at now: Instant) throws {
    if words.skip("on") {
      cutUntil = .distantFuture
    } else if words.skip("off") {
      cutUntil = now
    } else {
      cutUntil = now + (try words.duration())
    }
  }
}

extension Blackholes {
  /// Reads what comes behind `blackhole`.
  fileprivate mutating func change(_ words: inout Words) throws {
    if words.skip("none") {
      self = Blackholes()
    } else if words.skip("flow") {
      tuples.append(
        Tuple(
          scope: Scope(transport: try words.transport()), clientPort: try words.port(),
          serverPort: try words.port()))
    } else if words.skip("port") {
      let scope = words.scope()
      ports.append(Port(scope: scope, number: try words.port()))
    } else if words.skip("flows") {
      let scope = words.scope()
      try words.require("after")
      budget = Budget(scope: scope, byteCount: try words.bytes())
    } else {
      try words.require("ports")
      let scope = words.scope()
      let share = try words.share()
      try words.require("after")
      open(PortShare(scope: scope, share: share, byteCount: try words.bytes()))
    }
  }
}

extension Words {
  fileprivate mutating func scope() -> Scope { Scope(transport: optionalTransport()) }

  /// Nil for the word `none`, else what `body` reads.
  fileprivate mutating func optional<Value>(
    _ body: (inout Words) throws -> Value
  ) throws -> Value? {
    skip("none") ? nil : try body(&self)
  }
}
