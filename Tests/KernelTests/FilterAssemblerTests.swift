// The assembler: golden programs, its refusals, and random programs against their meaning.

import CLinux
import Kernel
import Samples
import Testing

@Suite struct FilterAssemblerTests {
  private let empty = FilteredPacket(bytes: [], networkOffset: 0, linear: 0)

  @Test func jumpsAreCountedFromTheNextInstruction() throws {
    var filter = FilterAssembler()
    let reject = filter.label()
    filter.load(.packetType)
    filter.jump(if: .equal, 0, otherwise: reject)
    filter.finish(accepting: 7)
    filter.place(reject)
    filter.finish(accepting: 0)
    // `echo 'ld type; jneq #0, out; ret #7; out: ret #0' | bpf_asm -c`
    let golden: [(UInt16, UInt8, UInt8, UInt32)] = [
      (0x20, 0, 0, 0xFFFF_F004), (0x15, 0, 1, 0), (0x06, 0, 0, 7), (0x06, 0, 0, 0),
    ]
    let program = try filter.assemble().instructions
    #expect(program.map(\.code) == golden.map(\.0))
    #expect(program.map(\.jt) == golden.map(\.1))
    #expect(program.map(\.jf) == golden.map(\.2))
    #expect(program.map(\.k) == golden.map(\.3))
  }

  @Test(arguments: [0, 1, 253, 254, 255, 256, 257, 300, 4000])
  func aBranchReachesAnyDistanceBothWays(padding: Int) throws {
    for value in [UInt32(0), 1] {
      var filter = FilterAssembler()
      let equal = filter.label()
      let different = filter.label()
      filter.load(.packetType)
      filter.jump(if: .equal, value, then: equal, otherwise: different)
      for _ in 0..<padding { filter.finish(accepting: 99) }
      filter.place(equal)
      filter.finish(accepting: 1)
      filter.place(different)
      filter.finish(accepting: 2)
      let program = try filter.assemble().instructions
      #expect(interpret(program, empty) == .accepted(value == 0 ? 1 : 2))
    }
  }

  @Test func aBranchThatFallsThroughSkipsItsLongJumps() throws {
    var filter = FilterAssembler()
    let far = filter.label()
    filter.load(.packetType)
    filter.jump(if: .equal, 5, then: far)
    for _ in 0..<300 { filter.and(.max) }
    filter.finish(accepting: 1)
    filter.place(far)
    filter.finish(accepting: 2)
    let program = try filter.assemble().instructions
    #expect(interpret(program, empty) == .accepted(1))
    var other = empty
    other.packetType = 5
    #expect(interpret(program, other) == .accepted(2))
  }

  @Test func refusals() {
    var filter = FilterAssembler()
    #expect(throws: FilterError.unfinished) { try filter.assemble() }
    let label = filter.label()
    filter.jump(to: label)
    filter.finish(accepting: 0)
    #expect(throws: FilterError.undefinedLabel) { try filter.assemble() }
    filter.place(label)
    #expect(throws: FilterError.notForward) { try filter.assemble() }
    filter.jump(to: label)
    filter.finish(accepting: 0)
    #expect(throws: FilterError.notForward) { try filter.assemble() }
  }

  @Test func theKernelsLimitIsKept() throws {
    var filter = FilterAssembler()
    for _ in 0..<4095 { filter.addX() }
    filter.finish(accepting: 0)
    #expect(try filter.assemble().instructions.count == 4096)
    filter.finish(accepting: 0)
    #expect(throws: FilterError.tooLong(4097)) { try filter.assemble() }
  }

  /// Random programs of forward branches, run by the interpreter and by following their labels.
  @Test(arguments: 0..<100)
  func randomBranchesGoWhereTheirLabelsAre(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    var filter = FilterAssembler()
    let count = Int.random(in: 1...1200, using: &random)
    let ends = count..<count + 8
    let labels = (0..<ends.upperBound).map { _ in filter.label() }
    var nodes: [(value: UInt32, then: Int, otherwise: Int)] = []
    filter.load(.packetType)
    for index in 0..<count {
      let value = UInt32.random(in: 0...7, using: &random)
      let then = Int.random(in: index + 1..<ends.upperBound, using: &random)
      let isNext = index + 1 < count && Bool.random(using: &random)
      let otherwise =
        isNext ? index + 1 : Int.random(in: index + 1..<ends.upperBound, using: &random)
      nodes.append((value, then, otherwise))
      filter.place(labels[index])
      filter.jump(
        if: .greater, value, then: labels[then], otherwise: isNext ? nil : labels[otherwise])
    }
    for end in ends {
      filter.place(labels[end])
      filter.finish(accepting: UInt32(end))
    }
    let program = try filter.assemble().instructions
    for packetType in UInt32(0)...8 {
      var packet = empty
      packet.packetType = packetType
      var place = 0
      while place < count {
        place = packetType > nodes[place].value ? nodes[place].then : nodes[place].otherwise
      }
      #expect(interpret(program, packet) == .accepted(UInt32(place)))
    }
  }
}
