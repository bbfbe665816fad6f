// Where one recvmmsg(2) puts what it receives: payloads into a PacketBatch, the rest in here.

import CLinux
import Glibc
import Wire

/// The headers of messages to be received together, in memory allocated once.
@safe struct IncomingMessages: ~Copyable {
  private static let nameSize = 32  // a sockaddr_ll or sockaddr_in6
  private static let controlSize = 96  // one tpacket_auxdata, or UDP_GRO and a pktinfo, with room
  /// How many errors that waited on the socket are skipped in one receive.
  private static let queuedErrorLimit = 8

  private let headers: UnsafeMutablePointer<mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>
  private let names: UnsafeMutableRawPointer
  private let controls: UnsafeMutableRawPointer
  private let capacity: Int
  // What the headers point into, and how many of them the kernel has changed since.
  private var memory: UnsafeMutableRawPointer?
  private var slotSize = 0
  private var slotCount = 0
  private var used = 0
  /// How often a UDP peer's host said that nothing listens there (ICMP port unreachable).
  private(set) var refusals = 0

  /// Room for `capacity` messages; a batch with more slots is filled so far only.
  init(capacity: Int) {
    self.capacity = capacity
    unsafe headers = .allocate(capacity: capacity)
    unsafe vectors = .allocate(capacity: capacity)
    unsafe names = .allocate(byteCount: capacity * Self.nameSize, alignment: 8)
    unsafe controls = .allocate(byteCount: capacity * Self.controlSize, alignment: 8)
    unsafe memory = nil
  }

  deinit {
    unsafe headers.deallocate()
    unsafe vectors.deallocate()
    unsafe names.deallocate()
    unsafe controls.deallocate()
  }

  /// Receives what is there into the slots of `batch`, and gives the number of slots used.
  ///
  /// Errors that waited on the socket are skipped, and so are packets that cannot be told: an ICMP
  /// error of a UDP send, ENETDOWN of an interface that went down, EINVAL of a packet whose offload
  /// state has no virtio form (`packet_rcv_vnet`).
  mutating func receive(
    from socket: borrowing Descriptor, into batch: borrowing PacketBatch
  ) throws(SystemError) -> Int {
    prepare(for: batch)
    let descriptor = socket.rawValue
    let limit = UInt32(min(capacity, batch.capacity))
    for _ in 0..<Self.queuedErrorLimit {
      let received = retryingInterrupts {
        unsafe recvmmsg(descriptor, headers, limit, Int32(MSG_DONTWAIT), nil)
      }
      if received >= 0 {
        used = Int(received)
        return used
      }
      switch errno {
      case EAGAIN: return 0
      case EBADF, EFAULT, ENOTSOCK: throw SystemError(call: "receive", code: errno)
      case ECONNREFUSED: refusals &+= 1
      default: continue
      }
    }
    return 0
  }

  /// Points the headers to the batch's slots again.
  private mutating func prepare(for batch: borrowing PacketBatch) {
    if unsafe memory != batch.memory.baseAddress || slotSize != batch.slotSize
      || slotCount != batch.capacity
    {
      unsafe memory = batch.memory.baseAddress
      slotSize = batch.slotSize
      slotCount = batch.capacity
      used = min(capacity, slotCount)
    }
    for index in 0..<used {
      unsafe vectors[index] = iovec(
        iov_base: batch.memory.baseAddress! + index &* batch.slotSize, iov_len: batch.slotSize)
      unsafe headers[index] = mmsghdr(
        msg_hdr: msghdr(
          msg_name: names + index &* Self.nameSize, msg_namelen: socklen_t(Self.nameSize),
          msg_iov: vectors + index, msg_iovlen: 1,
          msg_control: controls + index &* Self.controlSize, msg_controllen: Self.controlSize,
          msg_flags: 0),
        msg_len: 0)
    }
  }

  /// The size of message `index` in bytes; nil where it did not fit its slot.
  func length(of index: Int) -> Int? {
    precondition(index >= 0 && index < used)
    let flags = unsafe headers[index].msg_hdr.msg_flags
    return unsafe flags & Int32(MSG_TRUNC) == 0 ? Int(headers[index].msg_len) : nil
  }

  /// Who sent message `index` of a UDP socket.
  func source(of index: Int) -> Endpoint {
    precondition(index >= 0 && index < used)
    var address = SocketAddress(Endpoint(.any, 0), on: .ipv6)
    address.name = unsafe names.load(
      fromByteOffset: index &* Self.nameSize, as: rs_address.self)
    return address.endpoint
  }

  /// Which address of this host message `index` of a UDP socket of `family` was sent to.
  func destination(of index: Int, on family: AddressFamily) -> IPAddress? {
    switch family {
    case .ipv4:
      control(in_pktinfo.self, of: index, level: Int32(IPPROTO_IP), kind: IP_PKTINFO).map {
        IPAddress(ipv4: UInt32(bigEndian: $0.ipi_spec_dst.s_addr))
      }
    case .ipv6:
      control(
        PacketInformation6.self, of: index, level: Int32(IPPROTO_IPV6), kind: IPV6_PKTINFO)?
        .address
    }
  }

  /// The control message of that kind of message `index`; nil where there is none.
  func control<Value: BitwiseCopyable>(
    _ type: Value.Type, of index: Int, level: Int32, kind: Int32
  ) -> Value? {
    precondition(index >= 0 && index < used)
    return unsafe rs_control_data(
      &headers[index].msg_hdr, level, kind, MemoryLayout<Value>.size
    )?.loadUnaligned(as: Value.self)
  }
}
