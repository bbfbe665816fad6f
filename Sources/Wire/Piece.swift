// What leaves is gathered, never copied together: a list of pieces of memory (an iovec).

/// A piece of what one segment or datagram is gathered from.
public struct Piece: Sendable {
  /// Which memory the piece lies in.
  public enum Origin: Sendable {
    /// The arena of the batch that lists the piece: headers and copies.
    case arena
    /// The `PacketBatch` that the payload was received in.
    case packets
  }

  /// Which memory the piece lies in.
  public let origin: Origin
  /// Bytes from the start of that memory.
  public let offset: Int
  /// Its size in bytes.
  public internal(set) var length: Int
}

/// Pieces in an allocation made once.
@safe struct PieceList: ~Copyable {
  private let storage: UnsafeMutableBufferPointer<Piece>
  private(set) var count = 0

  init(capacity: Int) { unsafe storage = .allocate(capacity: capacity) }

  deinit { unsafe storage.deallocate() }

  var room: Int { unsafe storage.count &- count }

  mutating func removeAll() { count = 0 }

  mutating func removeLast(_ number: Int) { count &-= number }

  /// Adds a piece, or makes the last one longer where it goes on; pieces before `first` belong to
  /// something else. The caller checked `room`.
  mutating func append(_ piece: Piece, joiningFrom first: Int) {
    if count > first {
      let last = unsafe storage[count &- 1]
      if last.origin == piece.origin, last.offset &+ last.length == piece.offset {
        // The compiler of Swift 6.3 cannot change the element where it is, with the thread sanitizer.
        let pieces = unsafe storage
        unsafe pieces[count &- 1].length &+= piece.length
        return
      }
    }
    precondition(room > 0)
    unsafe storage[count] = piece
    count &+= 1
  }

  subscript(index: Int) -> Piece {
    precondition(index >= 0 && index < count)
    return unsafe storage[index]
  }
}
