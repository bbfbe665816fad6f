// Files of a test.

import Glibc

/// A directory that is removed with its files when this value ends.
public struct Scratch: ~Copyable {
  /// Where it is.
  public let path: String

  /// An empty directory under /tmp.
  public init() {
    var template = Array("/tmp/rsk-c-XXXXXX".utf8CString)
    path = unsafe String(cString: mkdtemp(&template)!)
  }

  deinit { _ = unsafe system("rm -rf \(path)") }

  /// Writes a file and gives its path.
  public func file(_ name: String, _ text: String) -> String {
    let file = unsafe fopen("\(path)/\(name)", "w")!
    unsafe fputs(text, file)
    unsafe fclose(file)
    return "\(path)/\(name)"
  }
}

/// The text of a file; empty where there is none.
public func contents(_ path: String) -> String {
  guard let file = unsafe fopen(path, "r") else { return "" }
  defer { unsafe fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 18)
  let count = unsafe fread(&bytes, 1, bytes.count, file)
  return String(decoding: bytes[..<count], as: UTF8.self)
}
