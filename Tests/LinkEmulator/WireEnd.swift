// One end of the link: a socket on a veth that hears every frame and sends any.

import CSockets
import Glibc
import NamespaceSupport
import Wire

/// A packet socket (packet(7)), with the headers of recvmmsg(2) and sendmmsg(2).
@safe
struct WireEnd: ~Copyable {
  /// Messages in one system call.
  static let batchCount = 64

  let file: OpenFile
  private let headers: UnsafeMutablePointer<mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>

  /// Opens a socket on an interface.
  static func open(_ interface: String) throws -> WireEnd {
    let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let file = OpenFile(try check(socket(AF_PACKET, type, 0), "socket AF_PACKET"))
    let index = Int32(unsafe if_nametoindex(interface))
    guard index > 0 else { throw Failure("there is no interface \(interface)") }
    // Room for a second of the fastest link, while this process waits for a processor.
    try file.set(SOL_SOCKET, SO_RCVBUFFORCE, to: 256 << 20)
    try file.set(SOL_SOCKET, SO_SNDBUFFORCE, to: 16 << 20)
    try file.set(SOL_PACKET, PACKET_VNET_HDR, to: 1)
    try file.set(SOL_PACKET, PACKET_IGNORE_OUTGOING, to: 1)
    try check(cs_bind_packet(file.number, UInt16(ETH_P_ALL), index), "bind \(interface)")
    return WireEnd(file)
  }

  private init(_ file: OpenFile) {
    self.file = file
    unsafe headers = .allocate(capacity: Self.batchCount)
    unsafe vectors = .allocate(capacity: Self.batchCount)
    unsafe headers.initialize(repeating: mmsghdr(), count: Self.batchCount)
    unsafe vectors.initialize(repeating: iovec(), count: Self.batchCount)
    for index in 0..<Self.batchCount {
      unsafe headers[index].msg_hdr.msg_iov = vectors + index
      unsafe headers[index].msg_hdr.msg_iovlen = 1
    }
  }

  deinit {
    unsafe headers.deallocate()
    unsafe vectors.deallocate()
  }

  /// Receives into the slots what has come; returns how many frames, at most one for each slot.
  mutating func receive(into slots: [Int], of store: borrowing FrameStore) throws -> Int {
    for (index, slot) in slots.enumerated() { unsafe vectors[index] = store.vector(slot) }
    let count = unsafe recvmmsg(
      file.number, headers, UInt32(slots.count), Int32(MSG_DONTWAIT), nil)
    if count < 0, errno == EAGAIN || errno == EINTR || errno == ENETDOWN { return 0 }
    return Int(try check(count, "recvmmsg"))
  }

  /// The bytes of the frame that came at `index`; nil where it did not fit its slot.
  borrowing func frameByteCount(_ index: Int) -> Int? {
    guard unsafe headers[index].msg_hdr.msg_flags & Int32(MSG_TRUNC) == 0 else {
      return nil
    }
    return Int(unsafe headers[index].msg_len) - FrameStore.headerByteCount
  }

  /// Sends frames; returns those that the kernel did not take.
  mutating func send(
    _ frames: [(slot: Int, byteCount: Int)], of store: inout FrameStore
  ) -> [(slot: Int, byteCount: Int)] {
    var refused: [(slot: Int, byteCount: Int)] = []
    for (index, frame) in frames.enumerated() {
      store.clearHeader(frame.slot)
      unsafe vectors[index] = store.vector(
        frame.slot, byteCount: FrameStore.headerByteCount + frame.byteCount)
    }
    var first = 0
    while first < frames.count {
      let sent = unsafe sendmmsg(file.number, headers + first, UInt32(frames.count - first), 0)
      if sent > 0 {
        first += Int(sent)
      } else if errno != EINTR {
        refused.append(frames[first])
        first += 1
      }
    }
    return refused
  }

  /// How many frames the kernel had no room for since this was asked last.
  borrowing func takeMissed() throws -> Int {
    var statistics = tpacket_stats()
    var size = socklen_t(MemoryLayout<tpacket_stats>.size)
    try check(
      unsafe getsockopt(file.number, SOL_PACKET, PACKET_STATISTICS, &statistics, &size),
      "PACKET_STATISTICS")
    return Int(statistics.tp_drops)
  }
}
