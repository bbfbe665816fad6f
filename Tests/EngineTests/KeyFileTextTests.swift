// The text of a key file: what is taken, and that a mistake is told by its line.

import Crypto
import Samples
import Testing
import Wire

@testable import Engine

@Suite("Key file") struct KeyFileTextTests {
  /// A key of its own for each number.
  static func key(_ number: Int) -> SecretKey {
    SecretKey { $0.set(UInt64(number) &* 0x9E37_79B9_7F4A_7C15, at: 8) }
  }

  static func text(_ number: Int) -> String { key(number).base64 }

  static func keys(in text: String) throws(KeyFileError) -> [NamedKey] {
    try KeyFileText.keys(in: Array(text.utf8).span.octets)
  }

  static func error(in text: String) -> KeyFileError? {
    do throws(KeyFileError) { _ = try keys(in: text) } catch { return error }
    return nil
  }

  @Test("Names and keys, with comments, blank lines, tabs and other systems' line ends")
  func lines()
    throws
  {
    let keys = try Self.keys(
      in: """
        # clients
        laptop \(Self.text(1))

          \t phone\t\t\(Self.text(2))  # the new one\r
        a.b_c-D9 \(Self.text(3))\r
        """)
    #expect(
      keys == [
        NamedKey(name: "laptop", key: Self.key(1)), NamedKey(name: "phone", key: Self.key(2)),
        NamedKey(name: "a.b_c-D9", key: Self.key(3)),
      ])
  }

  @Test("A key alone needs no name", arguments: ["\n", "", " # mine\n#\n\n"])
  func nameless(_ end: String) throws {
    #expect(try Self.keys(in: Self.text(1) + end) == [NamedKey(name: "default", key: Self.key(1))])
  }

  static let mistakes: [(String, KeyFileError)] = [
    ("", .noKey),
    ("# nothing\n\n \t\r\n", .noKey),
    ("laptop", .line(1, .key)),
    ("\nlaptop \(text(1).dropLast())\n", .line(2, .key)),
    ("laptop \(text(1))=", .line(1, .key)),
    ("laptop \(text(1))#", .line(1, .key)),
    ("laptop\0 \(text(1))", .line(1, .name)),
    ("\(text(1)) laptop", .line(1, .name)),
    ("ü \(text(1))", .line(1, .name)),
    ("\(String(repeating: "n", count: 33)) \(text(1))", .line(1, .name)),
    ("a \(text(1))\nlap top \(text(2))\n", .line(2, .words)),
    ("a \(text(1))\n\n\(text(2))\n", .line(3, .nameless)),
    ("\(text(1))\na \(text(2))\n", .line(1, .nameless)),
    ("\(text(1))\n\(text(2))\n", .line(1, .nameless)),
    ("a \(text(1))\nb \(text(2))\na \(text(3))", .line(3, .repeatedName(line: 1))),
    ("a \(text(1))\nb \(text(2))\nc \(text(2))", .line(3, .repeatedKey(line: 2))),
  ]

  @Test("A mistake is told by its line", arguments: mistakes)
  func mistake(_ text: String, _ expected: KeyFileError) {
    #expect(Self.error(in: text) == expected)
  }

  @Test("The longest name, and names that differ in case alone") func names() throws {
    let long = String(repeating: "n", count: NamedKey.nameLimit)
    let keys = try Self.keys(in: "\(long) \(Self.text(1))\na \(Self.text(2))\nA \(Self.text(3))")
    #expect(keys.map(\.name) == [long, "a", "A"])
  }

  @Test("As many keys as may be, and one more") func count() throws {
    let lines = (0..<KeyFileText.keyLimit).map { "client\($0) \(Self.text($0))\n" }.joined()
    #expect(try Self.keys(in: lines).count == KeyFileText.keyLimit)
    #expect(Self.error(in: lines + "other \(Self.text(KeyFileText.keyLimit))") == .tooManyKeys)
  }

  @Test("As many bytes as may be, and one more") func size() throws {
    let line = "a \(Self.text(1))\n"
    let comment = String(repeating: "#", count: KeyFileText.byteLimit - line.utf8.count)
    #expect(try Self.keys(in: line + comment).count == 1)
    #expect(Self.error(in: line + comment + "#") == .tooLong)
  }

  @Test("Damaged text is refused or has only what it says", arguments: 0..<64 as Range<UInt64>)
  func damage(_ seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    let sound = (0..<8).map { "client\($0) \(Self.text($0)) # \($0)\n" }.joined()
    for _ in 0..<64 {
      var bytes = Array(sound.utf8)
      for _ in 0..<Int.random(in: 0..<4, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(
          in: .min ... .max, using: &random)
      }
      let keys = (try? KeyFileText.keys(in: bytes.span.octets)) ?? []
      #expect(Set(keys.map(\.name)).count == keys.count && keys.count <= 9)
      #expect(keys.allSatisfy { NamedKey.isName($0.name.utf8) })
      let garbage = random.bytes(512)
      #expect(throws: KeyFileError.self) { try KeyFileText.keys(in: garbage.span.octets) }
    }
  }

  @Test("Nothing that prints a key shows it") func printing() {
    let key = NamedKey(name: "laptop", key: Self.key(1))
    var dumped = ""
    dump(key, to: &dumped)
    #expect("\(key)" == "laptop" && "\([key])" == "[laptop]")
    for text in [dumped, String(reflecting: key)] { #expect(!text.contains(Self.text(1))) }
  }
}
