import AllocationCounter
import Crypto
import Samples
import Testing

/// A frame that is sealed, opened or refused touches no heap; libcrypto's own allocations count.
@Suite(.enabled(if: allocations_are_counted()))
struct CryptoAllocationTests {
  private static let associated: [UInt8] = [23, 3, 3, 0, 99, 0, 0, 0, 0]

  /// Nothing but libcrypto allocates in there.
  @Test func libcryptoIsCounted() {
    let message = [UInt8](repeating: 1, count: 100)
    let before = allocation_count()
    let digest = sha256(message.rawSpan)
    let after = allocation_count()
    #expect(digest == sha256(message.rawSpan))
    #expect(after > before)
  }

  @Test(arguments: [CipherSuite.aes256GCM, .chaCha20Poly1305])
  func framesAllocateNothing(_ suite: CipherSuite) {
    let key = SecretKey(copying: [UInt8](0..<32).rawSpan)
    var sealing = AEAD(suite, key: key, for: .sealing)
    var opening = AEAD(suite, key: key, for: .opening)
    var prefix = [UInt8](repeating: 3, count: 3)
    var datagram = [UInt8](repeating: 4, count: 1400)
    var tag = [UInt8](repeating: 0, count: AEAD.tagByteCount)
    var (opened, refused) = (0, 0)
    let before = allocation_count()
    for number in 0..<1000 as Range<UInt64> {
      sealing.begin(number)
      sealing.authenticate(Self.associated.rawSpan)
      prefix.withMutableRawSpan { sealing.process(&$0) }
      datagram.withMutableRawSpan { sealing.process(&$0) }
      tag.withMutableRawSpan { sealing.finish(tag: &$0) }
      if number % 2 == 1 { tag[0] ^= 1 }
      opening.begin(number)
      opening.authenticate(Self.associated.rawSpan)
      prefix.withMutableRawSpan { opening.process(&$0) }
      datagram.withMutableRawSpan { opening.process(&$0) }
      if opening.finish(expecting: tag.rawSpan) { opened += 1 } else { refused += 1 }
    }
    let after = allocation_count()
    #expect(after - before == 0)
    #expect(opened == 500 && refused == 500)
    #expect(prefix == [3, 3, 3] && datagram == [UInt8](repeating: 4, count: 1400))
  }
}
