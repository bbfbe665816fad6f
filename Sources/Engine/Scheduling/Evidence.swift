// What reports add up to: how much of what is sent on a channel is lost, and how sure that is; and what became of
// all that a session sent lately.

internal import Wire

/// Frames sent and lost, the old ones fading.
struct Evidence: Sendable {
  /// About so many frames are remembered, or eight reports where these have more.
  private static let memory = 1000.0
  /// What was seen counts no longer than this.
  private static let lifetime = Duration.seconds(30)
  /// Fewer frames say nothing for a channel: it counts as good.
  static let least = 100.0
  /// A difference counts where it is so many standard deviations: one in four thousand by chance.
  private static let certainty = 3.5

  private(set) var frames = 0.0
  private var lost = 0.0
  private var updatedAt: Instant?

  /// Takes in what a report says of the frames since the one before. Frames that came late make up for
  /// what an earlier report had as lost.
  mutating func add(sent: UInt64, arrived: UInt64, at now: Instant) {
    if frames > Self.memory {
      frames *= 0.875
      lost *= 0.875
    }
    frames += Double(sent)
    lost += Double(sent) - Double(arrived)
    updatedAt = now
  }

  /// Whether it is too old to count.
  func isStale(at now: Instant) -> Bool {
    updatedAt.map { now - $0 > Self.lifetime } ?? false
  }

  /// The part of the frames that is lost; nil where nothing is known that counts.
  func known(at now: Instant) -> Double? { frames > 0 && !isStale(at: now) ? loss : nil }

  /// The part of the frames that is lost, 0 where nothing is known.
  var loss: Double { frames > 0 ? min(1, max(0, lost / frames)) : 0 }

  /// The variance of `loss`, by the rule of succession so that it is never 0.
  private var variance: Double {
    let likely = (loss * frames + 1) / (frames + 2)
    return likely * (1 - likely) / (frames + 2)
  }

  /// Whether this one loses more than `other` by `margin` or more, for sure.
  func exceeds(_ other: Evidence, by margin: Double) -> Bool {
    let variance = variance + (other.frames < Self.least ? 0 : other.variance)
    let beyond = loss - other.loss - margin
    return beyond > 0 && beyond * beyond > Self.certainty * Self.certainty * variance
  }
}

/// What became of the frames of a session that reports told of since its last judgement.
struct Losses {
  private(set) var sent: UInt64 = 0
  private(set) var arrived: UInt64 = 0
  /// The lost ones, but for what channels lose more than the best one.
  private(set) var common = 0.0
  /// The part that the best channel loses.
  let ofBest: Double

  init(ofBest: Double) { self.ofBest = ofBest }

  /// Takes in the frames of one channel, which loses `excess` more than the best one.
  mutating func add(_ frames: (sent: UInt64, arrived: UInt64), excess: Double) {
    sent &+= frames.sent
    arrived &+= frames.arrived
    common += Double(frames.sent) * (1 - excess) - Double(frames.arrived)
  }
}
