// A server and a client that are connected, with hostile packets, lost ones, time and odd sizes in
// between: Engines/World.

import Wire

extension FuzzTarget {
  static let engine = FuzzTarget(name: "engine") { input in
    var world = World(Script(input))
    world.play()
  } seeds: {
    // Without a key, and with one; for those who have none also with a decoy.
    let plain = engineScripts.mapValues { [0, 0, 3, 7] + $0 }
    let sealed = engineScripts.map { ("sealed-" + $0.key, [0, 3, 3, 7] + $0.value) }
    let shown = ["stranger", "second-hello", "raw"].map { name in
      ("shown-" + name, [0, 0x0B, 3, 7] + (engineScripts[name] ?? []) + [19])
    }
    let twice = ["traffic", "lost", "repeated", "network"].map { name in
      ("twice-" + name, [0x0C, 0x33, 3, 7] + (engineScripts[name] ?? []))
    }
    return plain.merging(sealed + shown + twice) { $1 }
  }
}

/// What happens to two channels that were opened just now; the numbers are `World.Step`s and what
/// each takes.
private let engineScripts: [String: [UInt8]] = [
  "idle": [8, 0x99, 0, 15, 8, 0x99, 0, 15],
  // A datagram, its answer, four at once, 64 in a buffer, one that is cut.
  "traffic": [9, 0, 100, 0, 3, 10, 0, 100, 0, 3, 9, 3, 1, 2, 3, 4, 0, 1]
    + [9, 4, 0xF0, 0xFA, 0x00, 100, 0, 5, 9, 0, 0xF0, 0x10, 0x00, 0, 1],
  "lost": [9, 1, 200, 200, 2, 0, 0, 4, 9, 0, 100, 2, 0, 2, 1, 8, 0x36, 0, 15],
  // Nothing comes through until the channels are silent, then everything does.
  "outage": [9, 0, 9, 8, 0x36, 2, 0, 2, 1, 8, 0x46, 2, 0, 2, 1, 8, 0x56, 2, 0, 8, 0x56, 0, 15],
  "changed": [9, 0, 100, 3, 0, 0, 40, 6, 1, 2, 9, 0, 100, 3, 0, 8, 48, 7, 4, 1, 2, 3, 4, 1, 2],
  "repeated": [9, 0, 100, 1, 4, 4, 20, 0, 4, 20, 1, 2, 24, 0, 1, 4, 0, 3],
  // An RST and a FIN at each end.
  "reset": [5, 0, 4, 0, 0, 0x04, 0, 5, 1, 5, 0, 0, 0x04, 0, 1, 4, 8, 0x36]
    + [5, 0, 4, 0, 0, 0x11, 0, 5, 1, 5, 0, 0, 0x11, 0, 0, 15],
  // Forged frames of each type: probe, answer, suspect, keepalive, datagram, unknown, close.
  "frames": [5, 0, 0, 0, 0, 7, 0x83, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x24, 0, 0, 0]
    + [0x46, 0, 0, 0, 0x08, 0, 0, 0, 0x61, 9, 0, 1, 0, 0x12, 0x20, 0, 0, 0, 0x07, 0, 0, 0, 0, 9],
  "suspect": [5, 1, 1, 0, 0, 1, 0x46, 0, 0, 0, 1, 4, 5, 0, 0, 0, 0, 1, 0x46, 0, 0, 0, 0, 9],
  // Another client, of another session: SYN, Hello, a datagram on the second connection there is.
  "stranger": [6, 0, 1, 9, 9, 9, 9, 1, 8, 6, 0, 1, 7, 7, 7, 7, 0x10, 5, 1, 8]
    + [5, 1, 0, 0, 0, 1, 0x61, 9, 0, 1, 0, 1, 8, 8, 0x99, 0, 9],
  // The same, of this session, and of another version.
  "second-hello": [6, 0, 1, 9, 9, 9, 9, 1, 8, 6, 0, 1, 7, 7, 7, 7, 0, 1, 8, 0, 3]
    + [6, 0, 2, 9, 9, 9, 9, 1, 8, 6, 0, 2, 7, 7, 7, 7, 0x20, 2, 1, 8],
  "hello-again": [5, 0, 0x20, 0, 0, 0, 5, 0, 0x21, 0, 0, 0, 1, 8, 0, 3],
  "raw": [7, 0, 20, 0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]
    + [7, 5, 4, 1, 2, 3, 4, 1, 8],
  "close": [9, 0, 9, 0, 3, 11, 1, 0, 9, 8, 0x36, 0, 9],
  "server-closes": [9, 0, 9, 0, 3, 11, 0, 2, 1, 8, 0x36, 0, 9],
  // The network changes; paths with less room, and with none.
  "network": [12, 0, 5, 13, 2, 0xF0, 0x02, 0x58, 9, 0, 200, 13, 4, 30, 9, 0, 200, 0, 5]
    + [14, 0xF0, 0x05, 0x00, 15, 1, 12, 8, 0x46, 15, 1, 0, 15],
  // One who has the key: SYN, first message, a datagram and a probe, a number far ahead, a close.
  "insider": [18, 0, 1, 9, 9, 9, 9, 1, 8, 18, 0, 1, 0, 0, 7, 7, 7, 7, 0x10, 5, 0, 0, 1, 8]
    + [5, 1, 0, 0, 0, 2, 0x61, 9, 1, 0, 0x63, 4, 0, 0, 1, 8]
    + [5, 1, 0, 0, 0, 1, 0x01, 1, 0xFF, 1, 0, 0, 0, 1, 8, 5, 1, 0, 0, 0, 1, 7, 0, 0, 1, 8],
  // The key is taken from the client and given back; a clock is wrong.
  "keys": [16, 2, 9, 0, 9, 0, 3, 16, 3, 8, 0x46, 0, 9, 17, 1, 0, 0, 0, 0, 12, 8, 0x46, 0, 15],
]
