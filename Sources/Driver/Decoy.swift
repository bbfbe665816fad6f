// Shows strangers another service: the kernel's TCP goes on with their connections, and what comes on
// one is passed on.
//
//   Event.stranger ─► ruleset lets it through ─► repaired socket ─┬─ move ─► socket to the service
//                                                                 └◄─ move ─┘
//   both ended, or nobody gets on ─► closed ─► `forget`; the ruleset rests it for a minute

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// A service that strangers are shown, and the connections of those that see it.
struct Decoy: ~Copyable {
  /// How long nothing may move.
  private static let idleTime = Duration.seconds(60)
  /// The same where the service has ended, and only the stranger is left to say so too.
  private static let endTime = Duration.seconds(10)
  /// How long the kernel answers a connection that ended (TIME_WAIT), and how many may be let through
  /// for that.
  private static let restTime = Duration.seconds(60)
  private static let restLimit = 1024
  /// How many buffers one connection moves each way before others have their turn.
  private static let rounds = 2

  private let service: Endpoint
  private let interface: Int32?
  private let mark: UInt32?
  private let buffer = StreamBuffer()
  private var splices = PlaceTable<Splice>()
  private var free: [Int] = []
  private var used = 0
  /// Connections that ended, in order.
  private var resting: [(tuple: FourTuple, until: Instant)] = []
  /// When to look for connections on which nothing moves.
  private var lookAt = Instant.distantFuture
  private var reportedErrors: Set<Int32> = []

  init(service: Endpoint, interface: Int32?, mark: UInt32?) {
    self.service = service
    self.interface = interface
    self.mark = mark
  }

  /// When `advance` is to be called.
  var nextDeadline: Instant { min(lookAt, resting.first?.until ?? .distantFuture) }

  /// Takes in a stranger; one that it cannot take in is turned away.
  mutating func show(
    _ stranger: Stranger, through ruleset: inout Ruleset?, _ tunnel: inout Tunnel
  ) {
    do throws(SystemError) {
      // First the way, or what comes next would be lost.
      try admit(stranger.tuple, &ruleset)
      let service = try StreamSocket(connectingTo: service)
      let resumed = try StreamSocket(
        resuming: ConnectionState(stranger), interface: interface, mark: mark)
      let splice = Splice(
        tuple: stranger.tuple, stranger: resumed, service: service, at: tunnel.now)
      let index = free.last ?? used
      let token = Self.token(of: index)
      try tunnel.epoll.add(splice.stranger, token: token)
      try tunnel.epoll.add(splice.service, token: token + 1)
      if free.popLast() == nil { used += 1 }
      splices[index] = Place(splice)
      lookAt = min(lookAt, tunnel.now + .seconds(1))
      tunnel.engine.welcome(stranger, into: &tunnel.segments)
      tunnel.log.debug("stranger \(stranger.tuple) is shown \(self.service)")
    } catch {
      report(error, tunnel.log)
      try? ruleset?.remove(spliced: [stranger.tuple])
      tunnel.engine.turnAway(stranger, into: &tunnel.segments)
    }
  }

  /// Lets the kernel have a connection's segments.
  private mutating func admit(
    _ tuple: FourTuple, _ ruleset: inout Ruleset?
  ) throws(SystemError) {
    if let place = resting.firstIndex(where: { $0.tuple == tuple }) {
      resting.remove(at: place)
    } else {
      try ruleset?.add(spliced: tuple)
    }
  }

  private static func token(of index: Int) -> UInt64 { Token.firstOfDecoy + 2 * UInt64(index) }

  /// One of the sockets has something to say.
  mutating func receive(token: UInt64, _ ruleset: inout Ruleset?, _ tunnel: inout Tunnel) {
    let index = Int(token - Token.firstOfDecoy) / 2
    guard let splice = splices[index] else { return }
    do throws(SystemError) {
      try move(&splice.value, Self.token(of: index), tunnel)
      guard splice.value.isOver else { return }
      rest(splice.value.tuple, at: tunnel.now, &ruleset)
    } catch {
      if Self.meansUnreachable(error.code) {
        report(SystemError(call: "connect", code: error.code), tunnel.log)
      }
      tunnel.log.debug("stranger \(splice.value.tuple): \(error)")
      try? ruleset?.remove(spliced: [splice.value.tuple])
    }
    close(index, &tunnel)
  }

  /// Moves what there is both ways.
  private func move(
    _ splice: inout Splice, _ token: UInt64, _ tunnel: borrowing Tunnel
  ) throws(SystemError) {
    var isMore = false
    for _ in 0..<Self.rounds {
      // Down first: a service that resets the connection may have said why.
      let down = try splice.moveDown(through: buffer)
      let up = try splice.moveUp(through: buffer)
      isMore = up || down
      guard isMore else { return }
      splice.lastMoved = tunnel.now
    }
    if isMore { try tunnel.epoll.renew(splice.stranger, token: token) }
  }

  /// Ends the connections on which nothing moves, and the rest of those that ended.
  mutating func advance(_ ruleset: inout Ruleset?, _ tunnel: inout Tunnel) {
    guard nextDeadline <= tunnel.now else { return }
    let rested = resting.prefix { $0.until <= tunnel.now }.map(\.tuple)
    resting.removeFirst(rested.count)
    try? ruleset?.remove(spliced: rested)
    guard lookAt <= tunnel.now else { return }
    lookAt = used > free.count ? tunnel.now + .seconds(1) : .distantFuture
    for index in 0..<used {
      guard let splice = splices[index] else { continue }
      splice.value.look(at: tunnel.now)
      let limit = splice.value.hasServiceEnded ? Self.endTime : Self.idleTime
      guard tunnel.now - splice.value.lastMoved >= limit else { continue }
      tunnel.log.debug("stranger \(splice.value.tuple): nothing moves")
      try? ruleset?.remove(spliced: [splice.value.tuple])
      close(index, &tunnel)
    }
  }

  /// The kernel may have to answer the stranger's last segment again.
  private mutating func rest(_ tuple: FourTuple, at now: Instant, _ ruleset: inout Ruleset?) {
    if resting.count == Self.restLimit {
      try? ruleset?.remove(spliced: [resting.removeFirst().tuple])
    }
    resting.append((tuple, now + Self.restTime))
  }

  private mutating func close(_ index: Int, _ tunnel: inout Tunnel) {
    guard let splice = splices[index] else { return }
    tunnel.engine.forget(splice.value.tuple)
    splices[index] = nil
    free.append(index)
  }

  private static func meansUnreachable(_ code: Int32) -> Bool {
    [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES, EPERM].contains(code)
  }

  /// Says each kind of error once.
  private mutating func report(_ error: SystemError, _ log: Logger) {
    guard reportedErrors.insert(error.code).inserted else { return }
    log.warning("strangers cannot be shown the service that --decoy names, \(service): \(error)")
  }
}

/// A stranger's connection and the one to the service.
struct Splice: ~Copyable {
  let tuple: FourTuple
  let stranger: StreamSocket
  let service: StreamSocket
  /// When something last moved.
  var lastMoved: Instant
  private var hasStrangerEnded = false
  private(set) var hasServiceEnded = false
  private var unacknowledged = 0

  init(
    tuple: FourTuple, stranger: consuming StreamSocket, service: consuming StreamSocket,
    at now: Instant
  ) {
    self.tuple = tuple
    self.stranger = stranger
    self.service = service
    lastMoved = now
  }

  /// Whether everything has arrived and both sides have ended.
  var isOver: Bool { hasStrangerEnded && hasServiceEnded && stranger.isClosed }

  /// Moves what the stranger has sent; whether there may be more.
  mutating func moveUp(through buffer: borrowing StreamBuffer) throws(SystemError) -> Bool {
    guard !hasStrangerEnded else { return false }
    switch try stranger.move(to: service, through: buffer) {
    case .moved: return true
    case .blocked: return false
    case .ended:
      hasStrangerEnded = true
      try service.finish()
      return false
    }
  }

  /// Moves what the service has sent; whether there may be more.
  mutating func moveDown(through buffer: borrowing StreamBuffer) throws(SystemError) -> Bool {
    guard !hasServiceEnded else { return false }
    switch try service.move(to: stranger, through: buffer) {
    case .moved: return true
    case .blocked: return false
    case .ended:
      hasServiceEnded = true
      try stranger.finish()
      return false
    }
  }

  /// Takes note of what the stranger has got since the last look: a slow one is not an idle one.
  mutating func look(at now: Instant) {
    let count = stranger.unacknowledged
    if count < unacknowledged { lastMoved = now }
    unacknowledged = count
  }
}

extension ConnectionState {
  /// The state that the engine's part of a connection ends in.
  fileprivate init(_ stranger: Stranger) {
    self.init(
      tuple: stranger.tuple, sendNext: stranger.sendNext, receiveNext: stranger.receiveNext,
      sendWindow: stranger.sendWindow, receiveWindow: stranger.receiveWindow)
    received = stranger.payload
    sendScale = stranger.sendScale
    receiveScale = stranger.receiveScale
    maximumSegmentSize = stranger.maximumSegmentSize
    permitsSelectiveAcknowledgment = stranger.permitsSelectiveAcknowledgment
  }
}
