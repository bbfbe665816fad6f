// The text of a key file: a name and a key in base64 on each line.
//
//   # clients of this server
//   laptop   5GDSyHdDdXIbG4UGE2vGiqoJHZLTkf6xk7xHmvAkzTk=
//   phone    pXJx0hCA3wLmKZlQ0oZQnCqp1hIZl1CePDZsYvYVJ1E=   # the new one
//
// A key without a name may be the only one: that is all that a client needs.

internal import Crypto
internal import Wire

/// What is wrong with the text of a key file. It never holds anything of the text: a mistake may
/// have put a key anywhere.
public enum KeyFileError: Error, Hashable, Sendable {
  /// No line has a key.
  case noKey
  /// More than `KeyFileText.byteLimit` bytes.
  case tooLong
  /// More than `KeyFileText.keyLimit` keys.
  case tooManyKeys
  /// One line, counted from 1, is wrong.
  case line(Int, Fault)

  /// What is wrong with a line.
  public enum Fault: Hashable, Sendable {
    /// The last word is not 32 bytes of base64.
    case key
    /// The first of two words is no name.
    case name
    /// More than two words.
    case words
    /// The key has no name, and is not the only one.
    case nameless
    /// Another line has the same name.
    case repeatedName(line: Int)
    /// Another line has the same key.
    case repeatedKey(line: Int)
  }
}

/// The text of a key file.
public enum KeyFileText {
  /// The most bytes of a file.
  public static let byteLimit = 512 << 10
  /// The most keys of a file.
  public static let keyLimit = 4096

  /// The keys of a text, in the order of its lines. Takes time in proportion to the text, whatever
  /// it is.
  public static func keys(in text: RawSpan) throws(KeyFileError) -> [NamedKey] {
    guard text.byteCount <= byteLimit else { throw .tooLong }
    var list = KeyList()
    var line = 1
    var start = 0
    while start < text.byteCount {
      var end = start
      while end < text.byteCount, text.byte(at: end) != UInt8(ascii: "\n") { end += 1 }
      try list.take(text.extracting(start..<end), line: line)
      start = end + 1
      line += 1
    }
    if list.keys.isEmpty { throw .noKey }
    return list.keys
  }
}

/// The keys so far, and the lines that they came from.
private struct KeyList {
  private(set) var keys: [NamedKey] = []
  private var lines: [Entry: Int] = [:]
  private var namelessLine: Int?

  private enum Entry: Hashable {
    case name(String)
    case key(SecretKey)

    static func == (left: Entry, right: Entry) -> Bool {
      switch (left, right) {
      case (.name(let left), .name(let right)): left == right
      case (.key(let left), .key(let right)): left == right
      default: false
      }
    }

    // The hash function is keyed and random in each process: a file cannot be made to collide.
    func hash(into hasher: inout Hasher) {
      switch self {
      case .name(let name): hasher.combine(name)
      case .key(let key):
        for offset in stride(from: 0, to: SecretKey.byteCount, by: 8) {
          hasher.combine(key.bytes.be64(at: offset))
        }
      }
    }
  }

  mutating func take(_ text: RawSpan, line: Int) throws(KeyFileError) {
    let words = words(of: text)
    guard let last = words.last else { return }
    guard words.count <= 2 else { throw .line(line, .words) }
    var name: String?
    if words.count == 2 {
      let bytes = words[0].map { text.byte(at: $0) }
      guard NamedKey.isName(bytes) else { throw .line(line, .name) }
      name = String(decoding: bytes, as: UTF8.self)
    }
    guard let key = SecretKey(base64: text.extracting(last)) else { throw .line(line, .key) }
    if name == nil { namelessLine = namelessLine ?? line }
    if let namelessLine, !keys.isEmpty { throw .line(namelessLine, .nameless) }
    if let first = note(.key(key), line) { throw .line(line, .repeatedKey(line: first)) }
    if let name, let first = note(.name(name), line) {
      throw .line(line, .repeatedName(line: first))
    }
    guard keys.count < KeyFileText.keyLimit else { throw .tooManyKeys }
    keys.append(NamedKey(name: name ?? NamedKey.defaultName, key: key))
  }

  /// The line that had the entry before; else this one has it from now on.
  private mutating func note(_ entry: Entry, _ line: Int) -> Int? {
    if let first = lines[entry] { return first }
    lines[entry] = line
    return nil
  }

  /// The words of a line, three at most: more are as wrong as three.
  private func words(of line: RawSpan) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var offset = 0
    while offset < line.byteCount, words.count < 3 {
      if line.byte(at: offset) == UInt8(ascii: "#") { break }
      let start = offset
      while offset < line.byteCount, !isSpace(line.byte(at: offset)) { offset += 1 }
      if offset > start { words.append(start..<offset) }
      offset += 1
    }
    return words
  }

  /// A carriage return too: other systems end their lines with one.
  private func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }
}
