// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/loop.h"

namespace trunkline::tcp {

Counters::Counters(Metrics& metrics)
    : connections(metrics.metric("tcp_connections", "TCP connections that are open")),
      lines(metrics.metric("tcp_lines_total", "Messages received as telemetry")),
      overlong(metrics.metric("tcp_overlong_lines_total", "Messages dropped because they exceed framing.max")),
      refused(metrics.metric("tcp_refused_total", "Messages that intake refused")),
      throttled(metrics.metric("tcp_throttled_total", "Times a message was put off because intake was full")),
      acknowledged(metrics.metric("tcp_acknowledged_total", "Messages acknowledged to their device")),
      cut_off(metrics.metric("tcp_cut_off_lines_total", "Messages whose end never came because the connection ended")),
      noise(metrics.metric("tcp_noise_bytes_total", "Bytes that belonged to no frame")),
      check_failed(metrics.metric("tcp_check_failed_total", "Frames whose check was wrong, dropped or not")),
      malformed(metrics.metric("tcp_malformed_frames_total", "Frames that their framing forbids")),
      timeouts(metrics.metric("tcp_frame_timeouts_total", "Unfinished frames ended by silence")),
      stray_replies(metrics.metric("tcp_stray_replies_total", "Replies that answered no waiting command")),
      heartbeats(metrics.metric("tcp_heartbeats_total", "Messages that only say that their device lives")),
      unknown(metrics.metric("tcp_unknown_total", "Connections closed because nobody known spoke on them")),
      unknown_frames(metrics.metric("tcp_unknown_frames_total", "Messages of nobody known on shared connections")),
      turned_away(
          metrics.metric("tcp_turned_away_total", "Connections closed because there were too many, or a second")),
      silent(metrics.metric("tcp_silent_total", "Connections closed because nothing was heard on them")),
      dials(metrics.metric("tcp_dials_total", "Attempts to connect to a device")),
      dial_failures(metrics.metric("tcp_dial_failures_total", "Attempts to connect to a device that failed")),
      polls_unanswered(metrics.metric("tcp_polls_unanswered_total", "Polls that no answer came to in time")) {}

}  // namespace trunkline::tcp
