// Key files as they lie on disk, and keys of passphrases.

import Crypto
import Driver
import Engine
import Glibc
import Samples
import Testing

@Suite("Key file") struct KeyFileTests {
  static let laptop = "5GDSyHdDdXIbG4UGE2vGiqoJHZLTkf6xk7xHmvAkzTk="
  static let phone = "pXJx0hCA3wLmKZlQ0oZQnCqp1hIZl1CePDZsYvYVJ1E="

  /// Writes a file with the mode and reads it as a key file.
  static func load(
    _ text: String, mode: mode_t = 0o600, for role: ProcessRole = .server,
    in scratch: borrowing Scratch
  ) throws(StartError) -> [NamedKey] {
    let path = scratch.file("keys", text)
    unsafe chmod(path, mode)
    return try KeyFile(path, for: role).load()
  }

  /// The error of such a file, with FILE for its path.
  static func error(
    _ text: String, mode: mode_t = 0o600, for role: ProcessRole = .server
  ) -> StartError? {
    let scratch = Scratch()
    do throws(StartError) { _ = try load(text, mode: mode, for: role, in: scratch) } catch {
      let parts = error.sentence.split(
        separator: scratch.path + "/keys", omittingEmptySubsequences: false)
      return StartError(error.kind, parts.joined(separator: "FILE"))
    }
    return nil
  }

  @Test("A server's keys, and a client's with and without a name") func sound() throws {
    let scratch = Scratch()
    let both = "# two\nlaptop \(Self.laptop)\nphone \(Self.phone)\n"
    let keys = try Self.load(both, in: scratch)
    #expect(keys.map(\.name) == ["laptop", "phone"])
    #expect(keys.map(\.key.base64) == [Self.laptop, Self.phone])
    for text in [Self.laptop, "laptop \(Self.laptop)\n"] {
      let own = try Self.load(text, for: .client, in: scratch)
      #expect(own.map(\.key.base64) == [Self.laptop])
    }
  }

  @Test(
    "The owner and the group may read it",
    arguments: [0o400, 0o600, 0o640, 0o660, 0o700] as [mode_t])
  func modes(_ mode: mode_t) throws {
    #expect(try Self.load(Self.laptop, mode: mode, in: Scratch()).count == 1)
  }

  @Test(
    "A file that others may read, write or run is refused",
    arguments: [0o604, 0o602, 0o601] as [mode_t])
  func open(_ mode: mode_t) {
    let mode8 = String(mode, radix: 8)
    #expect(
      Self.error(Self.laptop, mode: mode)
        == StartError(
          .permission,
          "--key-file: FILE is open to all users (mode 0\(mode8)): run chmod o= FILE"))
  }

  static let mistakes: [(String, ProcessRole, String)] = [
    ("", .server, ": it has no key: put a line of rsock keygen into it."),
    ("# \(laptop)", .client, ": it has no key: put a line of rsock keygen into it."),
    (
      "a \(laptop)\nb \(phone)\n", .client,
      ": it has 2 keys, and a client has one: leave that line alone in it."
    ),
    (
      "\n\(laptop.dropLast())", .server,
      ", line 2: the key is not 32 bytes of base64: make one with rsock keygen."
    ),
    (
      "\(laptop) laptop", .server,
      ", line 1: what stands before the key is no name: write NAME KEY, with a name of 1 to 32 "
        + "letters, digits, dots, underscores or hyphens."
    ),
    (
      "a \(laptop) b", .server,
      ", line 1: there are more than two words: write NAME KEY; a comment starts with #."
    ),
    (
      "a \(laptop)\n\(phone)", .server,
      ", line 2: the key has no name, and is not the only one: write NAME KEY."
    ),
    (
      "a \(laptop)\na \(phone)", .server,
      ", line 2: the name is that of line 1 too: give each key its own."
    ),
    (
      "a \(laptop)\nb \(laptop)", .server,
      ", line 2: the key is that of line 1 too: give each client its own."
    ),
    (String(repeating: "#", count: 600_000), .server, ": it is larger than 512 KiB."),
  ]

  @Test("A mistake is told by path and line, and no key is shown", arguments: mistakes)
  func mistake(_ text: String, _ role: ProcessRole, _ rest: String) {
    let error = Self.error(text, for: role)
    #expect(error == StartError(.usage, "--key-file: FILE\(rest)"))
    #expect(error?.sentence.contains(Self.laptop.prefix(8)) == false)
  }

  @Test("What is no file") func noFile() throws {
    let scratch = Scratch()
    let pipe = scratch.path + "/pipe"
    #expect(unsafe mkfifo(pipe, 0o600) == 0)
    for path in [pipe, scratch.path, "/dev/null"] {
      #expect {
        _ = try KeyFile(path, for: .server).load()
      } throws: {
        ($0 as? StartError)?.sentence == "--key-file: \(path): it is no regular file: "
          + "give the path of a file with a line of rsock keygen."
      }
    }
    #expect {
      _ = try KeyFile("/nonexistent/keys", for: .server).load()
    } throws: {
      ($0 as? StartError)
        == StartError(
          .failure,
          "--key-file: cannot read \"/nonexistent/keys\": No such file or directory. "
            + "Give the path of a file that you may read, with a line of rsock keygen.")
    }
  }

  @Test("A path is bound to the directory of now") func relative() throws {
    let directory = unsafe getcwd(nil, 0)!
    defer { unsafe free(directory) }
    let expected = unsafe String(cString: directory) + "/keys"
    #expect(try KeyFile("keys", for: .client).path == expected)
  }

  @Test("A path is quoted where it is to be copied into a shell") func quoted() throws {
    let scratch = Scratch()
    let path = scratch.path + "/it's $mine"
    unsafe close(creat(path, 0o644))
    unsafe chmod(path, 0o644)
    #expect {
      _ = try KeyFile(path, for: .server).load()
    } throws: {
      ($0 as? StartError)?.sentence.hasSuffix(": run chmod o= '\(scratch.path)/it'\\''s $mine'")
        == true
    }
  }
}

@Suite("Keys") struct KeySourceTests {
  /// Computed with another implementation:
  /// python3 -c 'import base64, hashlib; print(base64.b64encode(hashlib.scrypt(
  ///   "correct horse battery stäple".encode(), salt=b"rsock passphrase 1", n=2**17, r=8, p=1,
  ///   maxmem=2**28, dklen=32)))'
  @Test("The key of a passphrase") func passphrase() throws {
    let source = try KeySource.passphrase("correct horse battery stäple")
    #expect(source == KeySource.key(base64: "lwWUFNrgAD3OvmmrKdhtXcIV166z8whKU1QRhRcA/kA="))
  }

  @Test("A new key each time, as base64") func generated() {
    let keys = Set((0..<100).map { _ in generateKey() })
    #expect(keys.count == 100)
    #expect(keys.allSatisfy { KeySource.key(base64: $0) != nil })
  }

  @Test(
    "What is no key",
    arguments: ["", "secret", " " + KeyFileTests.laptop, KeyFileTests.laptop + "\n"])
  func noKey(_ text: String) { #expect(KeySource.key(base64: text) == nil) }
}
