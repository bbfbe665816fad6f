// Waits for descriptors to become ready (epoll(7)).

import CLinux
import Glibc
import Wire

/// An epoll instance. The events of a wait lie in memory allocated once.
@safe public struct Epoll: ~Copyable {
  /// The most events of one wait; what is left is told by the next.
  public static let eventLimit = 64

  private let descriptor: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>
  private var count = 0
  private var hasNanosecondWait = true

  /// An instance that watches nothing yet.
  public init() throws(SystemError) {
    descriptor = Descriptor(
      owning: try check("create epoll") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    unsafe events = .allocate(capacity: Self.eventLimit)
  }

  deinit { unsafe events.deallocate() }

  /// Watches a descriptor for input, level-triggered; `token` is what `wait` tells of it. Remove it
  /// before it is closed.
  public func add(_ descriptor: Int32, token: UInt64) throws(SystemError) {
    try set(EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue, token)
  }

  /// Watches a stream socket for input, room for output and its end, edge-triggered: told once, until
  /// it is true anew. It need not be removed before it is closed.
  public func add(_ stream: borrowing StreamSocket, token: UInt64) throws(SystemError) {
    try set(EPOLL_CTL_ADD, stream.descriptor.rawValue, Self.streamEvents, token)
  }

  /// Tells once more what is true of a stream socket that is watched.
  public func renew(_ stream: borrowing StreamSocket, token: UInt64) throws(SystemError) {
    try set(EPOLL_CTL_MOD, stream.descriptor.rawValue, Self.streamEvents, token)
  }

  /// Watches a connection of this host, likewise.
  public func add(_ connection: borrowing LocalConnection, token: UInt64) throws(SystemError) {
    try set(EPOLL_CTL_ADD, connection.descriptor.rawValue, Self.streamEvents, token)
  }

  /// Tells once more what is true of a connection of this host.
  public func renew(_ connection: borrowing LocalConnection, token: UInt64) throws(SystemError) {
    try set(EPOLL_CTL_MOD, connection.descriptor.rawValue, Self.streamEvents, token)
  }

  private static var streamEvents: UInt32 {
    EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
  }

  private func set(
    _ operation: Int32, _ descriptor: Int32, _ events: UInt32, _ token: UInt64
  ) throws(SystemError) {
    let instance = self.descriptor.rawValue
    var event = unsafe epoll_event(events: events, data: epoll_data_t(u64: token))
    try check("watch a descriptor") { unsafe epoll_ctl(instance, operation, descriptor, &event) }
  }

  /// Watches a descriptor no longer. Events of the last wait may still name its token.
  package func remove(_ descriptor: Int32) throws(SystemError) {
    let instance = self.descriptor.rawValue
    try check("watch a descriptor no longer") {
      epoll_ctl(instance, EPOLL_CTL_DEL, descriptor, nil)
    }
  }

  /// Waits until a descriptor is ready or `timeout` is over (nil: for ever, zero: not at all), and
  /// gives the number of ready ones; see `token(at:)`. A signal ends the wait with 0.
  public mutating func wait(timeout: Duration?) throws(SystemError) -> Int {
    let result =
      if let timeout { waitBounded(timeout) } else { waitMilliseconds(-1) }
    if result == -1, errno != EINTR { throw SystemError(call: "wait for events", code: errno) }
    count = max(0, Int(result))
    return count
  }

  /// The token of ready descriptor `index` of the last wait.
  public func token(at index: Int) -> UInt64 {
    precondition(index >= 0 && index < count)
    return unsafe events[index].data.u64
  }

  private mutating func waitBounded(_ timeout: Duration) -> Int32 {
    let nanoseconds = max(0, timeout.wholeNanoseconds)
    if hasNanosecondWait {
      var limit = timespec(
        tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
      let result = unsafe epoll_pwait2(
        descriptor.rawValue, events, Int32(Self.eventLimit), &limit, nil)
      if result != -1 || errno != ENOSYS { return result }
      hasNanosecondWait = false  // a kernel before 5.11
    }
    // Up, not down: a wait that ends before the deadline would only begin again.
    let milliseconds = nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1)
    return waitMilliseconds(Int32(clamping: milliseconds))
  }

  private func waitMilliseconds(_ milliseconds: Int32) -> Int32 {
    unsafe epoll_wait(descriptor.rawValue, events, Int32(Self.eventLimit), milliseconds)
  }
}
