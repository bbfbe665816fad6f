// Puts a classic BPF program together (Linux kernel documentation, networking/filter.rst):
// instructions as typed verbs, labels in place of counted jumps.
//
// A conditional jump reaches 255 instructions forward. One that needs more gets a `ja` behind it,
// which reaches everywhere; whether one needs it depends on the others, so `layout` repeats until
// nothing changes.

package import CLinux

/// A classic BPF program under construction.
package struct FilterAssembler {
  /// A place in the program that jumps name before it is known.
  package struct Label {
    fileprivate let number: Int
  }

  /// How many bytes a load takes. The packet's are in network byte order, the register's not.
  package enum Width: Int32 {
    /// One byte.
    case byte = 0x10
    /// Two bytes.
    case half = 0x08
    /// Four bytes.
    case word = 0x00
  }

  /// What the kernel knows about a packet beside its bytes (`SKF_AD_*`).
  package enum Ancillary: Int32 {
    /// `PACKET_HOST`, `PACKET_OTHERHOST` and so on (packet(7)).
    case packetType = 4
    /// The device's `ARPHRD_*`.
    case hardwareType = 28
  }

  /// How a conditional jump compares A with its value.
  package enum Condition: Int32 {
    /// A == value.
    case equal = 0x10
    /// A > value, unsigned.
    case greater = 0x20
    /// A >= value, unsigned.
    case greaterOrEqual = 0x30
    /// A & value is not 0.
    case anyBitSet = 0x40
  }

  private enum Item {
    case plain(code: Int32, k: UInt32)
    case jump(to: Label)
    case branch(code: Int32, k: UInt32, then: Label?, otherwise: Label?)

    var targets: [Label] {
      switch self {
      case .plain: []
      case .jump(let label): [label]
      case .branch(_, _, let then, let otherwise): [then, otherwise].compactMap { $0 }
      }
    }
  }

  private var items: [Item] = []
  /// The index in `items` where each label was placed.
  private var places: [Int?] = []

  /// An empty program.
  package init() {}

  /// A new label, to be placed later.
  package mutating func label() -> Label {
    places.append(nil)
    return Label(number: places.count - 1)
  }

  /// Lets `label` stand for the next instruction. A label has one place.
  package mutating func place(_ label: Label) {
    precondition(places[label.number] == nil, "a label has one place")
    places[label.number] = items.count
  }

  /// A = the bytes at X + `offset`. Outside the packet the program ends and rejects.
  package mutating func load(_ width: Width, atX offset: UInt32) {
    append(BPF_LD | BPF_IND | width.rawValue, offset)
  }

  /// A = the word at `offset` of what seccomp(2) shows of a system call. There it is in the
  /// processor's own byte order.
  package mutating func load(wordAt offset: UInt32) {
    append(BPF_LD | BPF_ABS | BPF_W, offset)
  }

  /// A = what the kernel knows.
  package mutating func load(_ ancillary: Ancillary) {
    append(BPF_LD | BPF_ABS | BPF_W, UInt32(bitPattern: SKF_AD_OFF + ancillary.rawValue))
  }

  /// X = `value`.
  package mutating func setX(_ value: UInt32) { append(BPF_LDX | BPF_IMM, value) }

  /// A = `value`.
  package mutating func setA(_ value: UInt32) { append(BPF_LD | BPF_IMM, value) }

  /// X = A.
  package mutating func moveToX() { append(BPF_MISC | BPF_TAX, 0) }

  /// A &= `mask`.
  package mutating func and(_ mask: UInt32) { append(BPF_ALU | BPF_AND | BPF_K, mask) }

  /// A <<= `bits`.
  package mutating func shiftLeft(_ bits: UInt32) { append(BPF_ALU | BPF_LSH | BPF_K, bits) }

  /// A += X.
  package mutating func addX() { append(BPF_ALU | BPF_ADD | BPF_X, 0) }

  /// A += `value`.
  package mutating func add(_ value: UInt32) { append(BPF_ALU | BPF_ADD | BPF_K, value) }

  /// The word `word` of the program's own memory, of 16 (`BPF_MEMWORDS`), = A.
  package mutating func store(to word: UInt32) { append(BPF_ST, word) }

  /// A = a word of the program's own memory, which was stored before.
  package mutating func load(from word: UInt32) { append(BPF_LD | BPF_MEM, word) }

  /// Ends the program: so many of the packet's bytes are received, 0 rejects it.
  package mutating func finish(accepting bytes: UInt32) { finish(with: bytes) }

  /// Ends the program with this verdict; `SECCOMP_RET_*` for seccomp(2).
  package mutating func finish(with verdict: UInt32) { append(BPF_RET | BPF_K, verdict) }

  /// Goes on at `label`.
  package mutating func jump(to label: Label) { items.append(.jump(to: label)) }

  /// Goes on at `then` or at `otherwise`; nil is the next instruction.
  package mutating func jump(
    if condition: Condition, _ value: UInt32, then: Label? = nil, otherwise: Label? = nil
  ) {
    let code = BPF_JMP | condition.rawValue | BPF_K
    items.append(.branch(code: code, k: value, then: then, otherwise: otherwise))
  }

  private mutating func append(_ code: Int32, _ k: UInt32) {
    items.append(.plain(code: code, k: k))
  }
}

/// Why a program cannot be assembled.
package enum FilterError: Error, Hashable {
  /// A jump names a label that was never placed.
  case undefinedLabel
  /// A jump goes back or nowhere: classic BPF has no loops.
  case notForward
  /// The program does not end by accepting or rejecting.
  case unfinished
  /// The program has this many instructions; the kernel takes 4096 (`BPF_MAXINSNS`).
  case tooLong(Int)
}

extension FilterAssembler {
  /// The program as a filter of a socket.
  package func assemble() throws(FilterError) -> SocketFilter {
    SocketFilter(instructions: try instructions())
  }

  /// The program with its jumps counted out.
  package func instructions() throws(FilterError) -> [sock_filter] {
    try checkJumps()
    let starts = layout()
    guard starts[items.count] <= Int(BPF_MAXINSNS) else { throw .tooLong(starts[items.count]) }
    var program: [sock_filter] = []
    for (index, item) in items.enumerated() { emit(item, at: index, starts, into: &program) }
    return program
  }

  private func checkJumps() throws(FilterError) {
    guard case .plain(let code, _) = items.last, code & 0x07 == BPF_RET else { throw .unfinished }
    for (index, item) in items.enumerated() {
      for label in item.targets {
        guard let place = places[label.number] else { throw .undefinedLabel }
        guard place > index, place < items.count else { throw .notForward }
      }
    }
  }

  /// Where each item starts, and behind the last one the length of the program.
  private func layout() -> [Int] {
    var starts = Array(0...items.count)
    while true {
      // An item only ever grows: what is too far stays too far. So this ends.
      var next = [0]
      for (index, item) in items.enumerated() {
        next.append(next[index] + 1 + item.targets.count { isFar($0, from: index, starts) })
      }
      if next == starts { return starts }
      starts = next
    }
  }

  private func distance(to label: Label, from index: Int, _ starts: [Int]) -> Int {
    places[label.number].map { starts[$0] - starts[index] - 1 } ?? 0
  }

  private func isFar(_ label: Label, from index: Int, _ starts: [Int]) -> Bool {
    if case .jump = items[index] { return false }
    return distance(to: label, from: index, starts) > 255
  }

  private func emit(
    _ item: Item, at index: Int, _ starts: [Int], into program: inout [sock_filter]
  ) {
    switch item {
    case .plain(let code, let k):
      program.append(sock_filter(code: UInt16(code), jt: 0, jf: 0, k: k))
    case .jump(let label):
      program.append(always(distance(to: label, from: index, starts)))
    case .branch(let code, let k, let then, let otherwise):
      let far = item.targets.filter { isFar($0, from: index, starts) }
      var slots = 0..<far.count
      let offset = { (label: Label?) in
        guard let label else { return UInt8(far.count) }
        if isFar(label, from: index, starts) { return UInt8(slots.removeFirst()) }
        return UInt8(distance(to: label, from: index, starts))
      }
      let jt = offset(then)
      program.append(sock_filter(code: UInt16(code), jt: jt, jf: offset(otherwise), k: k))
      for (slot, label) in far.enumerated() {
        program.append(always(distance(to: label, from: index, starts) - slot - 1))
      }
    }
  }

  private func always(_ distance: Int) -> sock_filter {
    sock_filter(code: UInt16(BPF_JMP | BPF_JA), jt: 0, jf: 0, k: UInt32(distance))
  }
}
