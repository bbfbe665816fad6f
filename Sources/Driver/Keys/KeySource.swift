// Where the keys of a tunnel come from.

import Crypto
public import Engine
import Kernel
import Wire

/// Where the keys of a tunnel come from.
public enum KeySource: Hashable, Sendable {
  /// There are none: the tunnel is open to anyone.
  case none
  /// These.
  case given([NamedKey])
  /// A file, which may be read again while the tunnel runs.
  case file(KeyFile)

  /// The key of a base64 text; nil where that is none.
  public static func key(base64 text: String) -> KeySource? {
    SecretKey(base64: text.utf8.span.octets).map { .given([NamedKey(key: $0)]) }
  }

  /// The key of a passphrase. This takes 128 MiB for about half a second, so that guessing is
  /// expensive.
  public static func passphrase(_ text: String) throws(StartError) -> KeySource {
    // Whoever changes how the key is made changes the number: both ends have to make the same key.
    let salt = "rsock passphrase 1"
    do throws(PassphraseError) {
      let key = try SecretKey(passphrase: text.utf8.span.octets, salt: salt.utf8.span.octets)
      return .given([NamedKey(key: key)])
    } catch {
      throw StartError(
        .failure,
        "--hash: the key of a passphrase takes 128 MiB of memory to make, which is not there: "
          + "use a key of rsock keygen with --key-file instead.")
    }
  }

  /// What has to stay readable for `load` to work again: the file's directory, since a file that is
  /// replaced is another one.
  var readPaths: [String] {
    guard case .file(let file) = self else { return [] }
    return [directory(of: file.path)]
  }

  /// The keys; reads the file, where they come from one.
  func load() throws(StartError) -> [NamedKey] {
    switch self {
    case .none: []
    case .given(let keys): keys
    case .file(let file): try file.load()
    }
  }
}

/// A new key, as base64 text.
public func generateKey() -> String { SecretKey { SystemRandom().fill(&$0) }.base64 }
