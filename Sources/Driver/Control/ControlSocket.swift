// The control socket of a running rsock: who asks how it is, or what it should do.
//
//   asker ─► one line ─► codec ─► status: the answer's lines, one at a time, as there is room
//                              └► reconnect, stop: told to the loop
//
// Nobody who asks can hold the loop up: a request has at most 1 KiB, the next one is not read before the
// last answer is gone, an answer is written a line at a time, and there are eight askers at most.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// The control socket and those who are connected to it.
struct ControlSocket: ~Copyable {
  /// What is asked of the loop.
  enum Action {
    case reconnect
    case stop
  }

  /// How many lines of an answer are written in one turn of the loop.
  private static let rounds = 4

  private let listener: LocalListener
  private let codec: ControlCodec
  private let role: ProcessRole
  private let startedAt: Instant
  private var conversations = PlaceTable<Conversation>()

  /// Listens at `path`.
  init(at path: String, codec: ControlCodec, role: ProcessRole) throws(StartError) {
    do throws(SystemError) { listener = try LocalListener(at: path) } catch {
      throw StartError(error)
    }
    self.codec = codec
    self.role = role
    startedAt = BootClock.now()
  }

  /// Watches for somebody who asks.
  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    try epoll.add(listener.descriptor.rawValue, token: Token.control)
  }

  /// The socket of `token` has something to say; gives what the loop is asked for.
  mutating func receive(
    token: UInt64, _ role: borrowing some TunnelRole & ~Copyable, _ tunnel: inout Tunnel
  ) -> Action? {
    guard token != Token.control else {
      takeIn(tunnel)
      return nil
    }
    let index = Int(token - Token.firstOfControl)
    guard let conversation = conversations[index] else { return nil }
    let action = talk(&conversation.value, role, &tunnel)
    if conversation.value.isOver { conversations[index] = nil }
    guard let again = conversations[index], again.value.isMore else { return action }
    try? tunnel.epoll.renew(again.value.connection, token: token)
    return action
  }

  /// Takes in those who have connected. Where there is no place the one who was silent for the longest
  /// makes room.
  private mutating func takeIn(_ tunnel: borrowing Tunnel) {
    while let connection = listener.accept() {
      // The file's mode says so already; this holds where somebody changed it.
      guard let user = try? connection.peerUser(), user == 0 || user == geteuid() else { continue }
      let all = 0..<Token.controlLimit
      let index =
        all.first { conversations[$0] == nil }
        ?? all.min { lastHeard($0) < lastHeard($1) } ?? 0
      let token = Token.firstOfControl + UInt64(index)
      guard (try? tunnel.epoll.add(connection, token: token)) != nil else { continue }
      conversations[index] = Place(Conversation(connection, at: tunnel.now))
    }
  }

  private func lastHeard(_ index: Int) -> Instant {
    conversations[index]?.value.lastHeard ?? .distantFuture
  }

  /// Writes what is to be written and reads what has come, for some rounds.
  private func talk(
    _ conversation: inout Conversation, _ role: borrowing some TunnelRole & ~Copyable,
    _ tunnel: inout Tunnel
  ) -> Action? {
    for _ in 0..<Self.rounds {
      conversation.isMore = false
      guard conversation.flush() else { return nil }
      if let cursor = conversation.nextSession {
        writeSession(from: cursor, to: &conversation, tunnel)
      } else if let line = conversation.takeLine(at: tunnel.now) {
        if let action = answer(line, on: &conversation, role, &tunnel) {
          _ = conversation.flush()
          conversation.isMore = true
          return action
        }
      } else if !conversation.isLastAnswer {
        return nil
      }
      conversation.isMore = true
    }
    return nil
  }

  private func writeSession(
    from cursor: Int, to conversation: inout Conversation, _ tunnel: borrowing Tunnel
  ) {
    let found = tunnel.engine.sessionStatus(from: cursor, at: tunnel.now)
    conversation.nextSession = found?.next
    conversation.say(codec.answer(found.map { .session($0.session) } ?? .done))
  }

  private func answer(
    _ line: ArraySlice<UInt8>, on conversation: inout Conversation,
    _ role: borrowing some TunnelRole & ~Copyable, _ tunnel: inout Tunnel
  ) -> Action? {
    let words = ControlRequest.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    switch codec.request(line) {
    case .status:
      conversation.say(codec.answer(.program(status(role, &tunnel))))
      conversation.nextSession = 0
    case .stop:
      conversation.say(codec.answer(.done))
      return .stop
    case .reconnect where self.role == .client:
      conversation.say(codec.answer(.done))
      return .reconnect
    case .reconnect:
      conversation.say(
        codec.answer(.refused("A server opens no channels: only a client can reconnect.")))
    case nil:
      conversation.say(
        codec.answer(
          .refused("This is no request: send {\"request\":R} in a line, R one of \(words).")))
    }
    return nil
  }

  private func status(
    _ role: borrowing some TunnelRole & ~Copyable, _ tunnel: inout Tunnel
  ) -> ProgramStatus {
    ProgramStatus(
      role: self.role, pid: getpid(), age: tunnel.now - startedAt, places: role.places,
      tunnel: tunnel.engine.status, notSent: tunnel.wire.lost, notDelivered: tunnel.undelivered,
      notReceived: tunnel.wire.missed())
  }
}

/// One who is connected to the control socket.
struct Conversation: ~Copyable {
  private static let requestLimit = 1024

  let connection: LocalConnection
  /// When a request last came.
  private(set) var lastHeard: Instant
  /// Behind which session the answer goes on; nil where none is being given.
  var nextSession: Int?
  /// Whether something can be done although nothing new is told of the socket.
  var isMore = false
  /// Whether nothing more is read.
  private(set) var isLastAnswer = false
  /// Whether the connection can be closed.
  private(set) var isOver = false
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  /// How much of `output` was written.
  private var written = 0

  init(_ connection: consuming LocalConnection, at now: Instant) {
    self.connection = connection
    lastHeard = now
  }

  /// Adds a line to what is to be written.
  mutating func say(_ line: [UInt8]) { output += line + [UInt8(ascii: "\n")] }

  /// Writes what there is to write; false where there is no room for it all, or nobody to read it.
  mutating func flush() -> Bool {
    while written < output.count {
      switch connection.write(output[written...]) {
      case .moved(let count): written += count
      case .blocked: return false
      case .ended:
        isOver = true
        return false
      }
    }
    output.removeAll()
    written = 0
    isOver = isLastAnswer
    return !isOver
  }

  /// The next request; nil where no whole one has come. One without an end is too long.
  mutating func takeLine(at now: Instant) -> ArraySlice<UInt8>? {
    while true {
      if let end = input.firstIndex(of: UInt8(ascii: "\n")) {
        let line = input[..<end]
        input.removeSubrange(...end)
        lastHeard = now
        return line
      }
      if input.count >= Self.requestLimit {
        isLastAnswer = true
        defer { input.removeAll() }
        return input[...]
      }
      switch connection.read(into: &input, upTo: Self.requestLimit) {
      case .moved: continue
      case .blocked: return nil
      case .ended:
        isLastAnswer = true
        isOver = true
        return nil
      }
    }
  }
}
