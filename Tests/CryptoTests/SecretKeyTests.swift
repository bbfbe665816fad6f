import Crypto
import Glibc
import Samples
import Testing

@Suite struct SecretKeyTests {
  private static let key = SecretKey(copying: [UInt8](0..<32).rawSpan)
  private static let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

  private static func key(base64 text: [UInt8]) -> SecretKey? { SecretKey(base64: text.rawSpan) }

  @Test func bytesAreThoseGiven() {
    #expect(Self.key.octets == [UInt8](0..<32))
    #expect(SecretKey { _ in }.octets == [UInt8](repeating: 0, count: 32))
    let filled = SecretKey { $0.storeBytes(of: 0xAB, toByteOffset: 31, as: UInt8.self) }
    #expect(filled.octets == [UInt8](repeating: 0, count: 31) + [0xAB])
  }

  @Test func equalityIsThatOfTheBytes() {
    #expect(Self.key == SecretKey(copying: [UInt8](0..<32).rawSpan))
    for bit in 0..<256 {
      var bytes = [UInt8](0..<32)
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(Self.key != SecretKey(copying: bytes.rawSpan))
    }
  }

  @Test("A failure while the key is made is passed on")
  func failingBody() {
    #expect(throws: PassphraseError.outOfMemory) {
      _ = try SecretKey { _ throws(PassphraseError) in throw .outOfMemory }
    }
  }

  @Test("Printing, dumping and reflecting show no byte")
  func nothingShows() {
    let key = SecretKey(copying: [UInt8](repeating: 0xC7, count: 32).rawSpan)
    var dumped = ""
    dump((key: key, list: [key]), to: &dumped)
    for text in ["\(key)", String(reflecting: key), "\([key])", dumped] {
      #expect(text.contains("SecretKey"))
      for form in ["199", "c7", "C7", "x8fH"] { #expect(!text.contains(form), "\(text)") }
    }
    #expect(Mirror(reflecting: key).children.isEmpty)
  }

  private static func address(of key: SecretKey) -> Int {
    unsafe key.bytes.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
  }

  /// Reads where the key was. The kernel reads: to Swift that memory is gone. malloc keeps the first
  /// 16 bytes for itself.
  @Test("The bytes are overwritten when the key is gone")
  func bytesAreOverwritten() throws {
    let memory = unsafe open("/proc/self/mem", O_RDONLY)
    try #require(memory >= 0)
    defer { close(memory) }
    var seen = [UInt8](repeating: 0, count: 32)
    func read(at address: Int) -> Int { unsafe pread(memory, &seen, seen.count, off_t(address)) }

    var key: SecretKey? = SecretKey(copying: [UInt8](repeating: 0xC7, count: 32).rawSpan)
    let address = key.map(Self.address(of:)) ?? 0
    #expect(read(at: address) == 32 && seen == [UInt8](repeating: 0xC7, count: 32))
    key = nil
    #expect(read(at: address) == 32 && seen[16...].allSatisfy { $0 == 0 })
  }

  @Test func base64IsThatOfTheRFC() {
    #expect(Self.key.base64 == Self.text)
    let ones = SecretKey(copying: [UInt8](repeating: 0xFF, count: 32).rawSpan)
    #expect(ones.base64 == "//////////////////////////////////////////8=")
    let bytes = (0..<32).map { UInt8(255 - $0) }
    let descending = SecretKey(copying: bytes.rawSpan)
    #expect(descending.base64 == "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=")
  }

  @Test func base64GoesBothWays() {
    var random = SplitMix64(seed: 5)
    for _ in 0..<1000 {
      let key = SecretKey(copying: random.bytes(32).rawSpan)
      #expect(Self.key(base64: Array(key.base64.utf8)) == key)
    }
  }

  @Test("Every text that is taken is the one that the key gives")
  func base64IsCanonical() {
    let text = Array(Self.text.utf8)
    var taken = 0
    for index in text.indices {
      for character in UInt8.min ... .max {
        var changed = text
        changed[index] = character
        guard let key = Self.key(base64: changed) else { continue }
        taken += 1
        #expect(Array(key.base64.utf8) == changed)
      }
    }
    #expect(taken == 42 * 64 + 16 + 1)
  }

  @Test("Exactly 44 characters, no others and none around them")
  func base64IsStrict() {
    let text = Array(Self.text.utf8)
    for length in 0..<text.count { #expect(Self.key(base64: Array(text[..<length])) == nil) }
    for extra in ["\n", " ", "=", "A", "\0"] {
      #expect(Self.key(base64: text + Array(extra.utf8)) == nil)
      #expect(Self.key(base64: Array(extra.utf8) + text) == nil)
      #expect(Self.key(base64: Array(extra.utf8) + text.dropFirst()) == nil || extra == "A")
    }
    let withoutPadding = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A"
    #expect(Self.key(base64: Array(withoutPadding.utf8)) == nil, "33 bytes")
    let twoPaddings = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="
    #expect(Self.key(base64: Array(twoPaddings.utf8)) == nil, "31 bytes")
    let urlSafe = "__________________________________________8="
    #expect(Self.key(base64: Array(urlSafe.utf8)) == nil)
  }
}

extension SecretKey {
  var octets: [UInt8] { bytes.octets }
}

extension RawSpan {
  var octets: [UInt8] { byteOffsets.map { unsafe unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
}
