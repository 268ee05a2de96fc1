// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package belief turns evidence into probabilities. Each kind of Evidence has a row of
// weights, one for each Cause that may be the matter; Weigh adds up the rows of what was
// found to a Posterior. Confidence is how often a verdict reached so is right.
//
// It knows neither who is judged nor who says so.
package belief
