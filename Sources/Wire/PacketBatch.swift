// A batch of received packets or datagrams, in memory allocated once.
//
//   memory   | slot 0          | slot 1          | …
//   a slot   | before | the packet | unused |
//
// The kernel writes the slots (recvmmsg); the engine reads them; what leaves again is gathered
// from where it lies (SegmentBatch, DatagramBatch), so no byte of a payload is copied.

/// What is known about one slot of a `PacketBatch`.
public struct PacketSlot: Sendable {
  /// Where the packet starts, bytes from the start of the batch's memory.
  public var offset: Int
  /// Its size in bytes.
  public var length: Int
  /// Where the kernel merged several into one (GRO): the size of each but the last, else 0.
  public var segmentSize: Int
  /// Whether the transport checksum needs no check: the kernel did, or it never left the host.
  public var isChecksumTrusted: Bool
  /// The sender of a datagram; unused for packets, whose headers tell.
  public var source: Endpoint
  /// Where a datagram was sent to, on a socket that tells; likewise.
  public var destination: Endpoint

  /// A slot's description from its parts.
  @inlinable
  public init(
    offset: Int, length: Int, segmentSize: Int = 0, isChecksumTrusted: Bool = false,
    source: Endpoint = Endpoint(.any, 0), destination: Endpoint = Endpoint(.any, 0)
  ) {
    self.destination = destination
    self.offset = offset
    self.length = length
    self.segmentSize = segmentSize
    self.isChecksumTrusted = isChecksumTrusted
    self.source = source
  }
}

/// A batch of received packets or datagrams.
@safe public struct PacketBatch: ~Copyable {
  /// How many packets fit.
  public let capacity: Int
  /// The size of each slot in bytes.
  public let slotSize: Int
  /// The slots' memory, `capacity * slotSize` bytes, for the system call that fills it.
  public let memory: UnsafeMutableRawBufferPointer
  @usableFromInline let slots: UnsafeMutableBufferPointer<PacketSlot>
  /// How many packets are in the batch.
  public private(set) var count = 0

  /// An empty batch.
  public init(capacity: Int, slotSize: Int) {
    self.capacity = capacity
    self.slotSize = slotSize
    unsafe memory = .allocate(byteCount: capacity * slotSize, alignment: 64)
    unsafe slots = .allocate(capacity: capacity)
  }

  deinit {
    unsafe memory.deallocate()
    unsafe slots.deallocate()
  }

  /// Forgets all packets.
  public mutating func removeAll() { count = 0 }

  /// Adds a packet that lies in the memory; false where the batch is full or the packet would
  /// reach beyond the memory.
  @discardableResult
  public mutating func append(_ slot: PacketSlot) -> Bool {
    guard count < capacity, slot.offset >= 0, slot.length >= 0,
      unsafe slot.offset <= memory.count, unsafe slot.length <= memory.count &- slot.offset
    else { return false }
    unsafe slots[count] = slot
    count &+= 1
    return true
  }

  /// Copies a packet into the next slot; false where there is no room.
  @discardableResult
  public mutating func append(copying bytes: RawSpan, source: Endpoint) -> Bool {
    guard count < capacity, bytes.byteCount <= slotSize else { return false }
    let offset = count &* slotSize
    unsafe bytes.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: $0)
    }
    return append(PacketSlot(offset: offset, length: bytes.byteCount, source: source))
  }

  /// What is known about packet `index`.
  @inlinable
  public func slot(_ index: Int) -> PacketSlot {
    precondition(index >= 0 && index < count)
    return unsafe slots[index]
  }

  /// The bytes of packet `index`.
  @inlinable
  public subscript(index: Int) -> RawSpan {
    @_lifetime(borrow self)
    get {
      let slot = slot(index)
      return bytes(slot.offset..<slot.offset &+ slot.length)
    }
  }

  /// Any bytes of the batch's memory; traps outside of it.
  @inlinable
  @_lifetime(borrow self)
  public func bytes(_ range: Range<Int>) -> RawSpan {
    let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory))
    return unsafe _overrideLifetime(span.extracting(range), borrowing: self)
  }

  /// Any bytes of the batch's memory, to be sealed or opened where they lie; traps outside of it.
  @inlinable
  @_lifetime(&self)
  public mutating func mutableBytes(_ range: Range<Int>) -> MutableRawSpan {
    unsafe precondition(range.lowerBound >= 0 && range.upperBound <= memory.count)
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[range])
    return unsafe _overrideLifetime(MutableRawSpan(_unsafeBytes: bytes), mutating: &self)
  }
}
