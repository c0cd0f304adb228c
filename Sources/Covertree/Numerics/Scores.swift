/// A *score* decides between two pairs of points: it orders pairs exactly as their distances do.
///
/// A score is the squared distance in float64. Below a distance of 2^-480 a square loses digits to underflow. There the score is a
/// negative number instead, whose bits encode the square of `2^600` times the distance, so that a smaller distance has a smaller score.
/// Two different distances never have the same score, and a search compares nothing else. Only float64 coordinates can be so near to each
/// other: between float32 points the score is always the square.
enum Score {
  /// Squared distances below this have lost digits to underflow.
  static let leastSquare = 0x1p-960
  /// The distance that has this square.
  private static let leastDistance = 0x1p-480
  /// The factor of small differences before they are squared.
  static let magnification = 0x1p600
  /// Squares of magnified distances except 0 are between these two.
  private static let belowMagnified = 0x1p-950
  private static let mostMagnified = 0x1p240
  /// The score of a distance of zero between float64 points: the least of all.
  static let ofZero = -0x1p300

  /// Whether a score means a distance of zero.
  @inline(__always)
  static func isZero(_ score: Double) -> Bool { score == 0 || score == ofZero }

  /// The score of a distance below 2^-480, from the square of the magnified one.
  @inline(__always)
  static func ofMagnified(square: Double) -> Double {
    // Of negative numbers the smaller ones have larger bits.
    -Double(bitPattern: (-ofZero).bitPattern - (square < mostMagnified ? square : mostMagnified.nextDown).bitPattern)
  }

  /// The square that a negative score encodes.
  @inline(__always)
  static func magnifiedSquare(_ score: Double) -> Double {
    // A limit may be below every score.
    guard score > ofZero else { return 0 }
    return Double(bitPattern: (-ofZero).bitPattern - (-score).bitPattern)
  }

  /// The score of a distance. No two distances have the same one, as `sqrt(fl(d * d)) = d`.
  static func of(distance: Double) -> Double {
    if distance >= leastDistance { return distance * distance }
    guard distance > 0 else { return ofZero }
    let magnified = distance * magnification
    return ofMagnified(square: magnified * magnified)
  }

  /// The distance of a score.
  @inline(__always)
  static func distance(_ score: Double) -> Double {
    score >= 0 ? score.squareRoot() : magnifiedSquare(score).squareRoot() / magnification
  }

  /// The score that callers get: at least 0, and 0 for a distance of zero. Between 0 and the least square it has the square of a
  /// magnified distance without its last five bits.
  @inline(__always)
  static func reported(_ score: Double) -> Double {
    guard score < leastSquare else { return score }
    guard !isZero(score) else { return 0 }
    return Double(bitPattern: (magnifiedSquare(score).bitPattern - belowMagnified.bitPattern) >> 5)
  }

  /// The largest score that is reported as at most a number.
  @inline(__always)
  static func largest(reportedWithin limit: Double) -> Double {
    if limit >= leastSquare { return limit }
    if limit < 0 { return -.infinity }
    // The sum turns -0 into 0.
    let bits = (limit + 0).bitPattern
    let most = (mostMagnified.bitPattern - belowMagnified.bitPattern) >> 5
    return ofMagnified(
      square: bits >= most ? mostMagnified : Double(bitPattern: (bits << 5 | 31) + belowMagnified.bitPattern))
  }

  /// The largest score whose distance is at most this.
  static func largest(withinDistance distance: Double) -> Double {
    guard distance < .infinity else { return .infinity }
    if distance >= leastDistance { return largestSquare(ofRoot: distance) }
    // Below the least normal number a distance is rounded when it is scaled back.
    var magnified = (distance * magnification + distance.nextUp * magnification) / 2
    while magnified / magnification > distance { magnified = magnified.nextDown }
    return ofMagnified(square: largestSquare(ofRoot: magnified))
  }

  /// The largest number whose root is at most this.
  private static func largestSquare(ofRoot root: Double) -> Double {
    var square = root * root
    while square.squareRoot() > root { square = square.nextDown }
    while square < .infinity && square.nextUp.squareRoot() <= root { square = square.nextUp }
    return square
  }
}

extension Scalar {
  /// The largest number that is at most `limit`, or rounds to at most `limit` in this type, as results do.
  static func largestReported(within limit: Double) -> Double {
    guard self == Float.self, limit < .infinity else { return limit }
    var below = Self(limit)
    if Double(below) > limit { below = below.nextDown }
    guard below.isFinite else {
      return max(limit, -Double(greatestFiniteMagnitude) - Double(greatestFiniteMagnitude.ulp) / 2)
    }
    // A number halfway between two others is rounded to the even one.
    let above = below.nextUp
    let gap = above.isFinite ? Double(above) - Double(below) : Double(below.ulp)
    let middle = Double(below) + gap / 2
    return max(limit, Double(Self(middle)) > limit ? middle.nextDown : middle)
  }

  /// The largest score within a distance, inclusive: the point's distance is at most that, or rounds to at most that in this type.
  static func largestScore(withinDistance distance: Double) -> Double {
    let score = Score.largest(withinDistance: largestReported(within: distance))
    return self == Float.self ? max(score, 0) : score
  }
}
