import Testing
import Wire

@testable import Engine

/// The parts of the scheduler, one by one.
@Suite struct SchedulingTests {
  private static let start = Instant(nanoseconds: 1_000_000_000)

  /// Reports of 60 frames with these numbers lost.
  private static func evidence(_ losses: [UInt64]) -> Evidence {
    var evidence = Evidence()
    for lost in losses { evidence.add(sent: 60, arrived: 60 - lost, at: start) }
    return evidence
  }

  @Test func evidenceFades() {
    var evidence = Self.evidence([UInt64](repeating: 6, count: 20))
    #expect(abs(evidence.loss - 0.1) < 0.001)
    for _ in 0..<40 { evidence.add(sent: 60, arrived: 60, at: Self.start) }
    #expect(evidence.loss < 0.01)
    #expect(!evidence.isStale(at: Self.start + .seconds(30)))
    #expect(evidence.isStale(at: Self.start + .seconds(31)))
  }

  /// What was late, not lost, is no loss in the end.
  @Test func lateFrames() {
    var evidence = Self.evidence([10])
    #expect(evidence.loss > 0.1)
    evidence.add(sent: 60, arrived: 70, at: Self.start)
    #expect(evidence.loss == 0)
  }

  @Test func onlyWhatIsSureCounts() {
    let unknown = Evidence()
    // One or two in one report are chance; a whole report is not; 5 % is sure after a while.
    #expect(!Self.evidence([2]).exceeds(unknown, by: 0.02))
    #expect(Self.evidence([60]).exceeds(unknown, by: 0.25))
    #expect(!Self.evidence([3]).exceeds(unknown, by: 0.02))
    #expect(Self.evidence([UInt64](repeating: 3, count: 20)).exceeds(unknown, by: 0.02))
    let two = Self.evidence([1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1])
    #expect(!two.exceeds(unknown, by: 0.02))
    #expect(!Self.evidence([UInt64](repeating: 3, count: 20)).exceeds(two, by: 0.02))
  }

  /// Flows are distributed by shares, within a tenth; where a channel goes only its flows move.
  @Test func rendezvous() {
    func home(_ flow: UInt16, _ shares: [UInt32: Double]) -> UInt32 {
      shares.max {
        Rendezvous.score(flow: flow, channel: $0.key, share: $0.value)
          < Rendezvous.score(flow: flow, channel: $1.key, share: $1.value)
      }!.key
    }
    let equal = Dictionary(uniqueKeysWithValues: (UInt32(1)...6).map { ($0 &* 0x9E37_79B9, 1.0) })
    var counts: [UInt32: Int] = [:]
    for flow in UInt16.min...UInt16.max { counts[home(flow, equal), default: 0] += 1 }
    for count in counts.values { #expect(abs(count - 65_536 / 6) < 1000) }
    var less = equal
    let gone = less.popFirst()!.key
    for flow in UInt16(0)..<5000 where home(flow, equal) != gone {
      #expect(home(flow, equal) == home(flow, less))
    }
    let half = home(7, equal)
    var lighter = equal
    lighter[half] = 0.5
    let fewer = (UInt16.min...UInt16.max).count { home($0, lighter) == half }
    #expect(fewer > 4700 && fewer < 7200)
  }

  @Test func spreadAfterTwoMoves() {
    var course = Course()
    #expect(course.leave(at: Self.start) == false)
    #expect(course.leave(at: Self.start + .seconds(6)) == false)
    #expect(course.leave(at: Self.start + .seconds(7)) == true)
    #expect(course.isSpread)
    let spread = Self.start + .seconds(7)
    #expect(course.gather(lastLossy: spread, at: spread + .seconds(10)) == false)
    #expect(course.gather(lastLossy: spread, at: spread + .seconds(11)) == true)
    #expect(!course.isSpread)
    // Too early: spread at once, and for longer.
    #expect(course.leave(at: spread + .seconds(12)) == true)
    let again = spread + .seconds(12)
    #expect(course.gather(lastLossy: again, at: again + .seconds(19)) == false)
    #expect(course.gather(lastLossy: again, at: again + .seconds(21)) == true)
  }

  @Test func schedulesInHellos() {
    for schedule in Schedule.allCases {
      #expect(Schedule(schedule.flags.union([.aesGCM, .plain])) == schedule)
    }
    #expect(Schedule.redundant.flags.rawValue == 0x30)
  }
}
