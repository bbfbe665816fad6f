// The loop: receives, asks the link, sends when it is time, and obeys commands in between.

import Glibc
import LinkModel
import NamespaceSupport
import Wire

/// A link between two interfaces.
struct Emulator: ~Copyable {
  private var link: Link
  private var store = FrameStore(count: 1 << 17)
  private var client: WireEnd
  private var server: WireEnd
  private var lateness = Lateness()
  private var input = LineInput()
  private var due: [(slot: Int, byteCount: Int)] = []
  private var slots: [Int] = []

  init(client: consuming WireEnd, server: consuming WireEnd, seed: UInt64) {
    self.client = client
    self.server = server
    link = Link(seed: seed)
    due.reserveCapacity(WireEnd.batchCount)
    slots.reserveCapacity(WireEnd.batchCount)
  }

  /// Obeys a command and returns the answer: lines, of which the last is `ok`.
  mutating func obey(_ command: String) throws -> String {
    let request = try link.apply(command, at: monotonicNow())
    switch request {
    case .nothing: return "ok\n"
    case .resets:
      let frames = link.takeResets()
      inject(frames)
      return "ok\n"
    case .flows: return (link.flowLines + ["ok", ""]).joined(separator: "\n")
    case .counters:
      try countMissed()
      return "up \(link.counters(.up).text)\ndown \(link.counters(.down).text)\n"
        + "\(lateness.text)\nok\n"
    }
  }

  /// Runs until standard input ends.
  mutating func run() throws {
    while true {
      let now = monotonicNow()
      let resets = link.takeDueResets(at: now)
      inject(resets)
      for direction in Direction.allCases { sendDue(direction, at: now) }
      let ready = try waitForFrames(until: link.nextDeadline)
      if ready.client { try receive(.up) }
      if ready.server { try receive(.down) }
      if ready.input, try !obeyInput() { return }
    }
  }

  private mutating func sendDue(_ direction: Direction, at now: Instant) {
    while let frame = link.leave(direction, at: now) {
      lateness.note(now - frame.release)
      due.append((frame.slot, frame.byteCount))
      if due.count == WireEnd.batchCount { flush(direction) }
    }
    if !due.isEmpty { flush(direction) }
  }

  private mutating func flush(_ direction: Direction) {
    let refused =
      direction == .up ? server.send(due, of: &store) : client.send(due, of: &store)
    for frame in refused { link.countUnsent(direction, 1, byteCount: frame.byteCount) }
    for frame in due { store.giveBack(frame.slot) }
    due.removeAll(keepingCapacity: true)
  }

  private mutating func receive(_ direction: Direction) throws {
    slots.removeAll(keepingCapacity: true)
    while slots.count < WireEnd.batchCount, let slot = store.take() { slots.append(slot) }
    let count =
      direction == .up
      ? try client.receive(into: slots, of: store) : try server.receive(into: slots, of: store)
    let now = monotonicNow()
    for (index, slot) in slots.enumerated() {
      if index >= count || !accept(index, slot, direction, at: now) { store.giveBack(slot) }
    }
  }

  /// Whether the frame is on its way now.
  private mutating func accept(
    _ index: Int, _ slot: Int, _ direction: Direction, at now: Instant
  ) -> Bool {
    let byteCount =
      direction == .up ? client.frameByteCount(index) : server.frameByteCount(index)
    guard let byteCount, store.isFinished(slot) else {
      link.countDropped(.unfinished, direction)
      return false
    }
    return store.show(slot, byteCount: byteCount, to: &link, direction, at: now)
  }

  private mutating func inject(_ frames: [ForgedFrame]) {
    for frame in frames {
      guard let slot = store.take() else { return }
      store.write(frame.bytes, to: slot)
      link.inject(frame, slot: slot, at: monotonicNow())
    }
  }

  private mutating func countMissed() throws {
    link.countDropped(.mislaid, .up, try client.takeMissed())
    link.countDropped(.mislaid, .down, try server.takeMissed())
  }

  private mutating func obeyInput() throws -> Bool {
    guard let lines = try input.read() else { return false }
    for line in lines {
      do {
        writeText(try obey(line))
      } catch let error as CommandError {
        writeText("error: \(error)\n")
      }
    }
    return true
  }

  private borrowing func waitForFrames(
    until deadline: Instant
  ) throws -> (client: Bool, server: Bool, input: Bool) {
    // Without a slot frames wait with the kernel.
    let ends = store.isEmpty ? [-1, -1] : [client.file.number, server.file.number]
    var files = (ends + [STDIN_FILENO]).map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    let left = max(0, (deadline - monotonicNow()).wholeNanoseconds)
    var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
    let count = unsafe ppoll(&files, nfds_t(files.count), &time, nil)
    if count < 0, errno != EINTR { throw Failure(call: "ppoll") }
    return (files[0].revents != 0, files[1].revents != 0, files[2].revents != 0)
  }
}

/// CLOCK_MONOTONIC: it has the resolution of ppoll's timeout, and runs evenly.
func monotonicNow() -> Instant {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
}

extension FrameStore {
  /// Whether the link takes the frame.
  fileprivate borrowing func show(
    _ slot: Int, byteCount: Int, to link: inout Link, _ direction: Direction, at now: Instant
  ) -> Bool {
    link.arrive(frame(slot, byteCount: byteCount), slot: slot, direction, at: now)
  }
}
