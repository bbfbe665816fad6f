// Messages to the kernel, one behind the other in one buffer (netlink(7), over libmnl).

import CMnl

/// What is sent to the kernel at once: a message, or a transaction of several.
@safe package struct NetlinkRequest: ~Copyable {
  private let buffer: UnsafeMutableRawBufferPointer
  private var message: UnsafeMutablePointer<nlmsghdr>
  /// The number that the answers repeat; all messages of a request have the same.
  package let sequence: UInt32

  /// An empty request with room for `capacity` bytes; traps where they are not enough, as the
  /// sender knows what it says.
  package init(sequence: UInt32, capacity: Int = 4096) {
    unsafe buffer = .allocate(byteCount: capacity, alignment: MemoryLayout<nlmsghdr>.alignment)
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    unsafe message = buffer.baseAddress!.assumingMemoryBound(to: nlmsghdr.self)
    self.sequence = sequence
  }

  deinit { unsafe buffer.deallocate() }

  /// The bytes of all messages.
  package var bytes: RawSpan {
    @_lifetime(borrow self) get {
      let count = unsafe buffer.baseAddress!.distance(to: end)
      return unsafe _overrideLifetime(
        RawSpan(_unsafeStart: buffer.baseAddress!, byteCount: count), borrowing: self)
    }
  }

  /// Starts the next message.
  package mutating func begin<Header: BitwiseCopyable>(
    _ type: UInt16, _ flags: Int32, _ header: Header
  ) {
    let start = unsafe end
    precondition(unsafe room(from: start) >= MemoryLayout<nlmsghdr>.size + 64)
    unsafe message = mnl_nlmsg_put_header(start)
    unsafe message.pointee.nlmsg_type = type
    unsafe message.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST | flags)
    unsafe message.pointee.nlmsg_seq = sequence
    let place = unsafe mnl_nlmsg_put_extra_header(message, MemoryLayout<Header>.size)!
    unsafe place.storeBytes(of: header, as: Header.self)
  }

  /// Adds an attribute of one byte.
  package mutating func put(_ type: Int, _ value: UInt8) {
    precondition(unsafe mnl_attr_put_u8_check(message, capacity, UInt16(type), value))
  }

  /// Adds an attribute of two bytes in this host's byte order.
  package mutating func put(_ type: Int, _ value: UInt16) {
    precondition(unsafe mnl_attr_put_u16_check(message, capacity, UInt16(type), value))
  }

  /// Adds an attribute of four bytes in this host's byte order.
  package mutating func put(_ type: Int, _ value: UInt32) {
    precondition(unsafe mnl_attr_put_u32_check(message, capacity, UInt16(type), value))
  }

  /// Adds an attribute of these bytes.
  package mutating func put(_ type: Int, _ bytes: RawSpan) {
    let isDone = unsafe bytes.withUnsafeBytes {
      unsafe mnl_attr_put_check(message, capacity, UInt16(type), $0.count, $0.baseAddress)
    }
    precondition(isDone)
  }

  /// Adds a string with a zero byte behind it.
  package mutating func put(_ type: Int, _ text: String) {
    precondition(unsafe mnl_attr_put_strz_check(message, capacity, UInt16(type), text))
  }

  /// Adds an attribute that holds those that `body` adds.
  package mutating func nest(_ type: Int, _ body: (inout NetlinkRequest) -> Void) {
    let start = unsafe mnl_attr_nest_start_check(message, capacity, UInt16(type))
    precondition(unsafe start != nil)
    body(&self)
    // nla_len has 16 bits.
    let length = unsafe UnsafeMutableRawPointer(start!).distance(to: end)
    precondition(length <= Int(UInt16.max))
    unsafe mnl_attr_nest_end(message, start)
  }

  /// Behind the last message; libmnl keeps `nlmsg_len` a multiple of 4.
  private var end: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(message) + Int(message.pointee.nlmsg_len)
  }

  private func room(from start: UnsafeMutableRawPointer) -> Int {
    unsafe buffer.count - buffer.baseAddress!.distance(to: start)
  }

  /// The longest that the message at hand may become.
  private var capacity: Int { unsafe room(from: UnsafeMutableRawPointer(message)) }
}
