// Many datagrams in one system call (sendmmsg(2), recvmmsg(2)), so that the load generator does
// not become what is measured.

import Glibc

/// Slots for messages of one fixed capacity, with the headers that the two calls take.
@safe
struct MessageBatch: ~Copyable {
  let count: Int
  let capacity: Int
  private let memory: UnsafeMutableRawPointer
  private let vectors: UnsafeMutablePointer<iovec>
  private let headers: UnsafeMutablePointer<mmsghdr>

  init(count: Int, capacity: Int) {
    self.count = count
    self.capacity = capacity
    unsafe memory = .allocate(byteCount: count * capacity, alignment: 64)
    unsafe vectors = .allocate(capacity: count)
    unsafe headers = .allocate(capacity: count)
    unsafe headers.initialize(repeating: mmsghdr(), count: count)
    for index in 0..<count {
      unsafe (vectors + index).initialize(
        to: iovec(iov_base: memory + index * capacity, iov_len: capacity))
      unsafe headers[index].msg_hdr.msg_iov = vectors + index
      unsafe headers[index].msg_hdr.msg_iovlen = 1
    }
  }

  deinit {
    unsafe memory.deallocate()
    unsafe vectors.deallocate()
    unsafe headers.deallocate()
  }

  /// The bytes of the message that was received into slot `index`.
  subscript(index: Int) -> RawSpan {
    @_lifetime(borrow self) borrowing get {
      precondition(index >= 0 && index < count)
      let length = min(Int(unsafe headers[index].msg_len), capacity)
      let bytes = unsafe UnsafeRawBufferPointer(start: memory + index * capacity, count: length)
      return unsafe _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
    }
  }

  /// Slot `index`, to be filled for sending `length` bytes.
  mutating func fill(_ index: Int, length: Int, _ body: (inout MutableRawSpan) -> Void) {
    precondition(index >= 0 && index < count && length <= capacity)
    unsafe vectors[index].iov_len = length
    let bytes = unsafe UnsafeMutableRawBufferPointer(
      start: memory + index * capacity, count: length)
    var span = unsafe MutableRawSpan(_unsafeBytes: bytes)
    body(&span)
  }

  /// Receives at least one message and what else is waiting. 0 where none came in time.
  mutating func receive(from file: OpenFile) throws -> Int {
    while true {
      let received = unsafe recvmmsg(
        file.number, headers, UInt32(count), Int32(MSG_WAITFORONE), nil)
      if received >= 0 { return Int(received) }
      switch errno {
      case EAGAIN: return 0
      case EINTR, ECONNREFUSED: continue
      default: throw Failure(call: "recvmmsg")
      }
    }
  }

  /// Sends the first `count` slots. A refusal (ECONNREFUSED) belongs to an earlier datagram.
  mutating func send(_ count: Int, over file: OpenFile) throws {
    var first = 0
    while first < count {
      let sent = unsafe sendmmsg(file.number, headers + first, UInt32(count - first), 0)
      if sent > 0 {
        first += Int(sent)
      } else if errno != ECONNREFUSED && errno != EINTR {
        throw Failure(call: "sendmmsg")
      }
    }
  }
}
