// Messages for one sendmmsg(2), in memory allocated once.
//
//   open ─► address, add, add, … ─► open ─► … ─► flush: sendmmsg, losses counted
//
// The messages point into the batches that are being sent. That is sound because a socket's `send`
// borrows the batches and flushes before it returns.

import CLinux
import Glibc
import Wire

/// Messages to be sent together.
@safe struct OutgoingMessages: ~Copyable {
  /// The most pieces of one message: UIO_MAXIOV.
  static let pieceLimit = 1024
  private static let nameSize = 32  // a sockaddr_ll or sockaddr_in6
  private static let controlSize = (Int(RS_CONTROL_SIZE) + 7) & ~7
  /// How long, and how often in one flush, to wait for room in a full send buffer.
  private static let pollMilliseconds: Int32 = 2
  private static let pollLimit = 2

  private let headers: UnsafeMutablePointer<mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>
  private let names: UnsafeMutableRawPointer
  private let controls: UnsafeMutableRawPointer
  private let weights: UnsafeMutablePointer<Int>
  /// Into what the kernel is to cut each message; 0 for a whole one.
  private let cuts: UnsafeMutablePointer<Int>
  private let capacity: Int
  private let vectorCapacity: Int
  /// How many messages are waiting to be sent.
  private(set) var count = 0
  private var vectorCount = 0
  /// How often a UDP peer's host said that nothing listens there (ICMP port unreachable).
  private(set) var refusals = 0

  /// Room for `messages` messages with `pieces` pieces in all.
  init(messages: Int, pieces: Int) {
    capacity = messages
    vectorCapacity = pieces
    unsafe headers = .allocate(capacity: messages)
    unsafe vectors = .allocate(capacity: pieces)
    unsafe names = .allocate(byteCount: messages * Self.nameSize, alignment: 8)
    unsafe controls = .allocate(byteCount: messages * Self.controlSize, alignment: 8)
    unsafe weights = .allocate(capacity: messages)
    unsafe cuts = .allocate(capacity: messages)
  }

  deinit {
    unsafe headers.deallocate()
    unsafe vectors.deallocate()
    unsafe names.deallocate()
    unsafe controls.deallocate()
    unsafe weights.deallocate()
    unsafe cuts.deallocate()
  }

  /// Opens a message of `segments` segments that at most `pieces` pieces will be added to. Where
  /// there is no room, what is there is sent first. False where a message of so many pieces can
  /// never be sent.
  mutating func open(
    pieces: Int, segments: Int, on socket: borrowing Descriptor, into result: inout SendResult
  ) -> Bool {
    if count == capacity || vectorCount &+ pieces > vectorCapacity {
      flush(on: socket, into: &result)
    }
    guard pieces <= min(Self.pieceLimit, vectorCapacity) else {
      result.lose(segments, EMSGSIZE)
      return false
    }
    var header = unsafe msghdr()
    unsafe header.msg_iov = vectors + vectorCount
    unsafe headers[count] = mmsghdr(msg_hdr: header, msg_len: 0)
    unsafe weights[count] = segments
    unsafe cuts[count] = 0
    count &+= 1
    return true
  }

  /// Says where the open message goes.
  func address(_ address: SocketAddress) { self.address(address.name, length: address.length) }

  /// Says where the open message goes on the link.
  func address(_ address: sockaddr_ll) {
    self.address(address, length: socklen_t(MemoryLayout<sockaddr_ll>.size))
  }

  private func address<Address: BitwiseCopyable>(_ address: Address, length: socklen_t) {
    precondition(count > 0 && MemoryLayout<Address>.size <= Self.nameSize)
    let name = unsafe names + (count &- 1) &* Self.nameSize
    unsafe name.storeBytes(of: address, as: Address.self)
    unsafe headers[count &- 1].msg_hdr.msg_name = name
    unsafe headers[count &- 1].msg_hdr.msg_namelen = length
  }

  /// Makes the kernel cut the open message into datagrams of `size` bytes (UDP_SEGMENT).
  func setSegmentSize(_ size: Int) {
    unsafe cuts[count &- 1] = size
    // The last control message, so that it can be left out.
    addControl(UInt16(size), level: SOL_UDP, kind: UDP_SEGMENT)
  }

  /// Sends the open message, on a socket of `family`, from this address of the host (IP_PKTINFO, ip(7);
  /// IPV6_PKTINFO, ipv6(7)).
  func setSource(_ address: IPAddress, on family: AddressFamily) {
    switch family {
    case .ipv4:
      var information = in_pktinfo()
      information.ipi_spec_dst.s_addr = address.ipv4.bigEndian
      addControl(information, level: Int32(IPPROTO_IP), kind: IP_PKTINFO)
    case .ipv6:
      addControl(
        PacketInformation6(address: address), level: Int32(IPPROTO_IPV6), kind: IPV6_PKTINFO)
    }
  }

  private func addControl<Value: BitwiseCopyable>(_ value: Value, level: Int32, kind: Int32) {
    precondition(count > 0)
    var value = value
    unsafe rs_add_control(
      &headers[count &- 1].msg_hdr, controls + (count &- 1) &* Self.controlSize, level, kind,
      &value, MemoryLayout<Value>.size)
  }

  /// Adds a piece to the open message.
  mutating func add(_ bytes: RawSpan) {
    precondition(count > 0 && vectorCount < vectorCapacity)
    unsafe bytes.withUnsafeBytes {
      unsafe vectors[vectorCount] = iovec(
        iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
    }
    vectorCount &+= 1
    unsafe headers[count &- 1].msg_hdr.msg_iovlen &+= 1
  }

  /// Sends all messages and forgets them.
  mutating func flush(on socket: borrowing Descriptor, into result: inout SendResult) {
    var next = 0
    var pollsLeft = Self.pollLimit
    var retried = -1
    while next < count {
      let sent = transmit(from: next, count: count &- next, on: socket)
      if sent > 0 {
        for index in next..<next &+ sent { unsafe result.segments &+= weights[index] }
        next &+= sent
        continue
      }
      let code = errno
      if code == ECONNREFUSED { refusals &+= 1 }
      if code == EAGAIN, pollsLeft > 0 {
        pollsLeft &-= 1
        waitForRoom(on: socket)
      } else if isQueuedError(code), retried != next {
        retried = next
      } else {
        if !sendSeparately(next, code: code, on: socket, into: &result) {
          unsafe result.lose(weights[next], code)
        }
        next &+= 1
      }
    }
    count = 0
    vectorCount = 0
  }

  private func transmit(from first: Int, count: Int, on socket: borrowing Descriptor) -> Int {
    let descriptor = socket.rawValue
    return Int(
      retryingInterrupts {
        unsafe sendmmsg(
          descriptor, headers + first, UInt32(count), Int32(MSG_DONTWAIT))
      })
  }

  private func waitForRoom(on socket: borrowing Descriptor) {
    var request = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
    unsafe _ = poll(&request, 1, Self.pollMilliseconds)
  }

  /// Whether the error may be an older one that waited on the socket (`sock_error`), so that the
  /// message itself was not tried. EMSGSIZE waits where a router sent "fragmentation needed"
  /// (`__udp4_lib_err`).
  private func isQueuedError(_ code: Int32) -> Bool {
    code == ECONNREFUSED || code == ENETDOWN || code == EHOSTUNREACH || code == ENETUNREACH
      || code == EMSGSIZE
  }

  /// Sends a message that the kernel would not cut as the datagrams that it stands for. False, and
  /// nothing done, where `code` does not mean that.
  ///
  /// EIO: the device cannot checksum; EINVAL: over the segment limit of an older kernel, or the
  /// path's MTU is below the segment size (`udp_send_skb`); EMSGSIZE: newer kernels for that.
  private func sendSeparately(
    _ index: Int, code: Int32, on socket: borrowing Descriptor, into result: inout SendResult
  ) -> Bool {
    let size = unsafe cuts[index]
    guard size > 0, code == EIO || code == EINVAL || code == EMSGSIZE else { return false }
    var header = unsafe headers[index].msg_hdr
    unsafe header.msg_controllen -= Int(RS_SEGMENT_CONTROL_SIZE)
    if unsafe header.msg_controllen == 0 { unsafe header.msg_control = nil }
    var rest = unsafe UnsafeMutableBufferPointer(start: header.msg_iov, count: header.msg_iovlen)
    while !rest.isEmpty {
      // The pieces of one datagram; the last of them may go on into the next one.
      var (count, left) = (0, size)
      while count < rest.count, unsafe rest[count].iov_len <= left {
        unsafe left -= rest[count].iov_len
        count += 1
      }
      let hasPart = count < rest.count && left > 0
      let whole = unsafe hasPart ? rest[count] : iovec()
      if hasPart { unsafe rest[count].iov_len = left }
      unsafe header.msg_iov = rest.baseAddress
      unsafe header.msg_iovlen = hasPart ? count + 1 : count
      if unsafe sendmsg(socket.rawValue, &header, Int32(MSG_DONTWAIT)) == -1 {
        result.lose(1, errno)
      } else {
        result.segments &+= 1
      }
      if hasPart {
        unsafe rest[count] = iovec(
          iov_base: whole.iov_base + left, iov_len: whole.iov_len - left)
      }
      unsafe rest = UnsafeMutableBufferPointer(rebasing: rest[count...])
    }
    return true
  }
}
