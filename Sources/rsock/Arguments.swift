// Keys on the command line and in the environment: taken, and overwritten where ps(1) and
// /proc/PID show them.

import Driver
import Glibc

/// What the user typed behind the program's name.
struct Arguments {
  /// The words.
  let words: [String]
  /// The same words without the values of secret options.
  let masked: [String]

  init(_ words: [String]) { self.init(bytes: words.map { Array($0.utf8) }) }

  private init(bytes: [[UInt8]]) {
    words = bytes.map { String(decoding: $0, as: UTF8.self) }
    masked = zip(bytes, Self.secrets(in: bytes)).map { word, secret in
      String(decoding: word.prefix(secret ?? word.count), as: UTF8.self)
        + (secret == nil ? "" : "***")
    }
  }

  /// Takes the arguments of this process, and overwrites their secrets in its memory with x.
  static func takeFromProcess() -> Arguments {
    // argv as the kernel laid it out: ps(1) reads there.
    let memory = unsafe (1..<max(CommandLine.argc, 1)).compactMap {
      unsafe CommandLine.unsafeArgv[Int($0)]
    }
    let bytes = unsafe memory.map { text in
      unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
    for (index, secret) in secrets(in: bytes).enumerated() {
      if let secret { unsafe overwrite(memory[index] + secret) }
    }
    return Arguments(bytes: bytes)
  }

  /// For each word, at which byte a secret begins in it; nil for a word without one. Every word
  /// behind a secret option counts as one until the next option: in a passphrase that was not
  /// quoted each is a word of its own. A misspelt option counts, and what is a key wherever it
  /// stands.
  private static func secrets(in words: [[UInt8]]) -> [Int?] {
    var isBehind = false
    return words.map { word in
      guard word.first == UInt8(ascii: "-") else { return isBehind || isKey(word[...]) ? 0 : nil }
      let equals = word.firstIndex(of: UInt8(ascii: "=")) ?? word.endIndex
      let name = String(
        decoding: word[..<equals].drop { $0 == UInt8(ascii: "-") }, as: UTF8.self)
      isBehind = SettingName(rawValue: name.lowercased())?.isSecret == true
      let value = word.dropFirst(equals + 1)
      return equals < word.endIndex && (isBehind || isKey(value)) ? value.startIndex : nil
    }
  }

  private static func isKey(_ word: ArraySlice<UInt8>) -> Bool {
    String(decoding: word, as: UTF8.self).isKey
  }
}

extension String {
  /// Whether this is a key in base64.
  var isKey: Bool { KeySource.key(base64: self) != nil }
}

/// The key in the environment.
enum EnvironmentKey {
  /// The key, if there was one when it was taken.
  static let text: String? = take()

  /// Takes the key out of this process's environment: nobody finds it there any more, and no child
  /// gets it.
  static func takeFromProcess() { _ = text }

  private static func take() -> String? {
    guard let value = unsafe getenv(Setting.environmentKey) else { return nil }
    let text = unsafe String(cString: value)
    unsafe overwrite(value)
    unsafe unsetenv(Setting.environmentKey)
    return text
  }
}

private func overwrite(_ text: UnsafeMutablePointer<CChar>) {
  unsafe memset(text, CInt(UInt8(ascii: "x")), strlen(text))
}
