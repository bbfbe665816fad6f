// The file of -f: JSON, and every value in it, for both roles.

import Glibc
import Samples
import Wire
import rsock

extension FuzzTarget {
  static let configuration = FuzzTarget(name: "configuration") { input in
    file.write(input)
    // To make a key of a passphrase takes half a second, so that no passphrase is that of the file.
    guard let settings = try? Settings(options: [.hash: "hello135"], file: file.path) else {
      return
    }
    var server = settings
    _ = try? server.server()
    _ = try? server.process()
    var client = settings
    _ = try? client.client()
    var rules = settings
    _ = try? rules.serverRules()
    _ = try? rules.clientRules()
  } seeds: {
    let nested =
      String(repeating: #"{"param":"#, count: 20) + "1" + String(repeating: "}", count: 20)
    let texts = [
      "original": original, "client": client, "nested": nested, "word": "true",
      "types":
        #"{"daemon": null, "verbose": [1], "param": {"ports": {}, "taddr": 1e400, "": -0.5}}"#,
      "escapes": #"{"log": "\ud83d\ude00\u0000\/"}"#,
    ]
    return texts.mapValues { Array($0.utf8) }
  }

  /// As the original writes it (Tests/RSockTests).
  private static let original = """
    {"daemon": true, "log": "/var/log/rsock/rsock.log", "param": {"cap_timeout": 10, "dev": "eth0",
    "duration": 300, "hash": "hello135", "keepalive": 4, "lcapIp": "10.0.0.2", "ludp": "",
    "ports": "80,10001-10010", "taddr": "127.0.0.1:9999", "type": "tcp", "unPath": ""},
    "server": true, "verbose": false}
    """

  private static let client = """
    {"param": {"taddr": "192.0.2.1", "ludp": "127.0.0.1:30000", "ports": 443, "max-channels": "4",
    "firewall": "off", "tx": "raw", "schedule": "random"}}
    """

  /// The one file that every input is written to.
  private static let file = MemoryFile()
}

/// A file that is on no disk (memfd_create(2)).
private struct MemoryFile {
  private let descriptor: Int32
  var path: String { "/proc/self/fd/\(descriptor)" }

  init() {
    unsafe descriptor = memfd_create("configuration", 0)
    require(descriptor != -1, "there is a file")
  }

  func write(_ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes {
      let count = unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0)
      require(count == $0.count && ftruncate(descriptor, $0.count) == 0, "it is written")
    }
  }
}
