// Memory for the frames on their way. A frame is received into a slot, waits there, and is sent from there.
//
//   slot   | virtio_net_hdr 10 | frame, at most 2038 |

import CSockets
import Glibc
import Wire

/// Slots of 2048 bytes. Memory that was never used costs nothing, and what was used last is used first.
@safe
struct FrameStore: ~Copyable {
  static let slotByteCount = 2048
  static let headerByteCount = 10

  private let memory: UnsafeMutableRawPointer
  private var free: [Int]

  init(count: Int) {
    unsafe memory = .allocate(byteCount: count * Self.slotByteCount, alignment: 64)
    free = Array((0..<count).reversed())
  }

  deinit { unsafe memory.deallocate() }

  var isEmpty: Bool { free.isEmpty }
  mutating func take() -> Int? { free.popLast() }
  mutating func giveBack(_ slot: Int) { free.append(slot) }

  /// The slot as a buffer for one message of `byteCount` bytes.
  borrowing func vector(_ slot: Int, byteCount: Int = slotByteCount) -> iovec {
    unsafe iovec(iov_base: memory + slot * Self.slotByteCount, iov_len: byteCount)
  }

  /// The frame of `byteCount` bytes in the slot.
  @_lifetime(borrow self)
  borrowing func frame(_ slot: Int, byteCount: Int) -> RawSpan {
    let count = min(max(byteCount, 0), Self.slotByteCount - Self.headerByteCount)
    let start = unsafe memory + slot * Self.slotByteCount + Self.headerByteCount
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
    return unsafe _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
  }

  /// Whether the kernel says that the frame is a wire packet: nothing of struct virtio_net_hdr (host byte
  /// order: flags, gso_type, …) asks for a checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM) or segmentation.
  borrowing func isFinished(_ slot: Int) -> Bool {
    let header = unsafe UnsafeRawBufferPointer(
      start: memory + slot * Self.slotByteCount, count: Self.headerByteCount)
    return unsafe header[0] & 1 == 0 && header[1] == 0
  }

  /// Asks the kernel for nothing: the frame is to be sent as it is.
  mutating func clearHeader(_ slot: Int) {
    unsafe (memory + slot * Self.slotByteCount).initializeMemory(
      as: UInt8.self, repeating: 0, count: Self.headerByteCount)
  }

  /// Copies a frame into the slot.
  mutating func write(_ frame: [UInt8], to slot: Int) {
    precondition(frame.count <= Self.slotByteCount - Self.headerByteCount)
    let start = unsafe memory + slot * Self.slotByteCount + Self.headerByteCount
    unsafe start.copyMemory(from: frame, byteCount: frame.count)
  }
}
