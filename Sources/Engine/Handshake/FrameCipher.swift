// Seals and opens the frames of one channel: one key for each direction, used for nothing else.

internal import Crypto
internal import Wire

/// The two keys of a channel, as the key exchange gave them.
struct ChannelKeys {
  let sealing: SecretKey
  let opening: SecretKey
}

/// The cipher of one channel.
struct FrameCipher: ~Copyable {
  private var sealing: AEAD
  private var opening: AEAD
  /// The number of the next frame that is sealed.
  private(set) var nextNumber: UInt64 = 0
  private var window = ReplayWindow()

  init(_ suite: CipherSuite, keys: ChannelKeys) {
    sealing = AEAD(suite, key: keys.sealing, for: .sealing)
    opening = AEAD(suite, key: keys.opening, for: .opening)
  }

  /// The low bits of the number of the next frame.
  var nextLowNumber: UInt32 { UInt32(truncatingIfNeeded: nextNumber) }

  /// The low bits of the highest number that opened.
  var highestReceived: UInt32 { UInt32(truncatingIfNeeded: window.next &- 1) }

  /// How many frames either key has been used for.
  var framesUsed: UInt64 { max(nextNumber, window.next) }

  /// Seals a frame whose payload was copied behind its header; its number is `nextNumber`.
  mutating func seal(_ place: SealedPlace, in segments: inout SegmentBatch) {
    begin()
    var head = segments.mutableBytes(place.head)
    sealing.process(&head)
    finish(place, in: &segments)
  }

  /// Seals a frame whose payload lies in the packet batch; its number is `nextNumber`.
  mutating func seal(
    _ place: SealedPlace, in segments: inout SegmentBatch, _ packets: inout PacketBatch
  ) {
    begin()
    var head = segments.mutableBytes(place.head)
    sealing.process(&head)
    var body = packets.mutableBytes(place.body)
    sealing.process(&body)
    finish(place, in: &segments)
  }

  private mutating func begin() {
    sealing.begin(nextNumber)
    nextNumber &+= 1
  }

  private mutating func finish(_ place: SealedPlace, in segments: inout SegmentBatch) {
    var tag = segments.mutableBytes(place.tag)
    sealing.finish(tag: &tag)
  }

  /// Opens the frame at `start` where it lies: nil and the frame is as good as new, or why it was
  /// dropped.
  mutating func open(
    _ frame: SealedFrame, at start: Int, in packets: inout PacketBatch
  ) -> DropReason? {
    let number = window.expand(frame.number)
    guard window.isNew(number) else { return .repeatedFrame }
    let tag = start &+ SealedFrame.headerByteCount &+ frame.payloadLength
    opening.begin(number)
    var sealed = packets.mutableBytes(start &+ SealedFrame.clearByteCount..<tag)
    opening.process(&sealed)
    let expected = packets.bytes(tag..<tag &+ SealedFrame.tagByteCount)
    guard opening.finish(expecting: expected) else { return .badSeal }
    window.mark(number)
    return nil
  }
}
