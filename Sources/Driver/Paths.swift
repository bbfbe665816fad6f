// Paths of files that the user names.

import Glibc

/// The path from the root: a daemon lives there, and files are opened again later. `option` is who
/// named it, for the message.
func absolutePath(_ path: String, for option: String) throws(StartError) -> String {
  if path.hasPrefix("/") { return path }
  guard let current = unsafe getcwd(nil, 0) else {
    throw StartError(call: "\(option): find the current directory", code: errno)
  }
  defer { unsafe free(current) }
  return unsafe String(cString: current) + "/" + path
}

/// The directory of an absolute path.
func directory(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
  return String(path[..<slash])
}

extension String {
  /// The text as one word of a command line to copy.
  var quotedForShell: String {
    let isPlain =
      !isEmpty
      && utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: "+"):
          true
        default: false
        }
      }
    return isPlain
      ? self
      : "'"
        + split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''") + "'"
  }
}
