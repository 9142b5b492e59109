// Serves calls from one file and answers into another: setting, reset, beats, results; then the beats.
module intref_bench;
@BENCH@
  integer requests, answers, beats, results, restart, sent, came, idle, read;
  reg [8*256:1] path;

  task serve;
    begin
      sent = 0;
      came = 0;
      idle = 0;
      unknown = 0;
      while ((sent < beats || came < results) && came <= results && idle < @PATIENCE@ && !unknown) begin
        stall;
        if (!in_valid && sent < beats && (!@GAPS@ || noise[1:0] != 0)) begin
          read = $fscanf(requests, "%h", beat);
          in_valid = 1;
        end
        out_ready = !@PAUSES@ || noise[9:8] != 0;
        cycle;
        idle = taken || given ? 0 : idle + 1;
        if (taken) begin
          sent = sent + 1;
          in_valid = 0;
          beat = @BEAT_W@'bx;
        end
        if (given) begin
          came = came + 1;
          $fdisplay(answers, "%b", got);
        end
      end
      out_ready = 1;
      for (idle = 0; idle < @SILENCE@ && !unknown; idle = idle + 1) begin
        cycle;
        if (given) came = came + 1;
      end
      if (unknown) $fdisplay(answers, "unknown %0d %0d", sent, came);
      else if (sent < beats || came < results) $fdisplay(answers, "stuck %0d %0d", sent, came);
      else $fdisplay(answers, "done %0d %0d", sent, came);
      $fflush(answers);
    end
  endtask

  initial begin
    if (!$value$plusargs("requests=%s", path)) $finish;
    requests = $fopen(path, "r");
    if (!$value$plusargs("answers=%s", path)) $finish;
    answers = $fopen(path, "w");
    while ($fscanf(requests, "%h %d %d %d", setting, restart, beats, results) == 4) begin
      if (restart != 0) reset_unit;
      serve;
      if (sent < beats || came != results || unknown) $finish;
    end
    $finish;
  end
endmodule
