// Files of a test.

import Glibc

/// A directory that is removed with its files when this value ends.
struct Scratch: ~Copyable {
  let path: String

  init() {
    var template = Array("/tmp/rsk-c-XXXXXX".utf8CString)
    path = unsafe String(cString: mkdtemp(&template)!)
  }

  deinit { _ = unsafe system("rm -rf \(path)") }
}

/// The text of a file; empty where there is none.
func contents(_ path: String) -> String {
  guard let file = unsafe fopen(path, "r") else { return "" }
  defer { unsafe fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 18)
  let count = unsafe fread(&bytes, 1, bytes.count, file)
  return String(decoding: bytes[..<count], as: UTF8.self)
}
