// Self-checking testbench of @TOP@ for op @OP@: @CASES@ cases. Written by intref emit testbench; run by `make icarus` or
// `make verilator` beside it. A result passes only if it is identical (!==), so x and z never do.
module intref_tb;
@BENCH@

  // $readmemh leaves what a short file lacks at x, cuts excess digits, and takes x, z, comments and addresses. So every
  // file is read once before: its lines, the digits of every line (0: any text), and the sum of its bytes (FNV-1a).
  integer file, symbol, length, lines, damaged = 0;
  reg [31:0] sum;
  task verify(input [8*16:1] name, input integer depth, input integer digits, input [31:0] right);
    begin
      lines = 0;
      length = 0;
      sum = 32'h811c9dc5;
      file = $fopen(name, "r");
      if (file == 0) begin
        damaged = 1;
        $display("FAIL: %0s cannot be read", name);
      end else begin
        symbol = $fgetc(file);
        while (symbol >= 0) begin
          sum = (sum ^ symbol) * 32'h01000193;
          if (symbol == 10) begin
            lines = lines + 1;
            if (digits != 0 && length != digits && damaged == 0) begin
              damaged = 1;
              $display("FAIL: %0s line %0d has %0d digits, expected %0d", name, lines, length, digits);
            end
            length = 0;
          end else begin
            length = length + 1;
            if (digits != 0 && damaged == 0 && !(symbol >= "0" && symbol <= "9" || symbol >= "a" && symbol <= "f")) begin
              damaged = 1;
              $display("FAIL: %0s line %0d: expected digits 0-9 a-f, found '%c'", name, lines + 1, symbol);
            end
          end
          symbol = $fgetc(file);
        end
        $fclose(file);
        if (lines != depth) $display("FAIL: %0s has %0d lines, expected %0d", name, lines, depth);
        else if (sum != right && damaged == 0) $display("FAIL: %0s is not as it was written", name);
        if (lines != depth || sum != right) damaged = 1;
      end
    end
  endtask

  reg [@CASE_W@-1:0] cases[0:@CASES@-1];  // what holds still, then beats and results of the case, 32 bits each
  reg [@BEAT_W@-1:0] beats[0:@BEATS@-1];
  reg [@RESULT_W@-1:0] results[0:@RESULTS@-1];
  reg [@RESULT_W@-1:0] counting[0:@RESULTS@-1];  // the bits that count: not those of lanes past the end of a row

  integer n, beat_index, result_index, sent, came, idle, places, lane;
  integer wrong = 0, cases_wrong = 0, wrong_so_far, read;
  reg [8*200:1] place;
  reg [31:0] case_beats, case_results;
  reg [@RESULT_W@-1:0] want, counts;
  reg halted = 0, ended = 0;

  task check;
    begin
      read = $fgets(place, places);
      if (place[8:1] == 8'h0a) place = place >> 8;
      want = results[result_index];
      counts = counting[result_index];
      if ((got & counts) !== (want & counts)) begin
        wrong = wrong + 1;
        if (wrong <= @SHOWN@) begin
@SHOW@
        end
      end
      result_index = result_index + 1;
    end
  endtask

  task run_case;
    begin
      {setting, case_beats, case_results} = cases[n];
      sent = 0;
      came = 0;
      idle = 0;
      unknown = 0;
      wrong_so_far = wrong;
      while ((sent < case_beats || came < case_results) && idle < @PATIENCE@ && !unknown) begin
        stall;
        if (!in_valid && sent < case_beats && (!@GAPS@ || noise[1:0] != 0)) begin
          beat = beats[beat_index];
          in_valid = 1;
        end
        out_ready = !@PAUSES@ || noise[9:8] != 0;
        cycle;
        idle = taken || given ? 0 : idle + 1;
        if (taken) begin
          sent = sent + 1;
          beat_index = beat_index + 1;
          in_valid = 0;
          beat = @BEAT_W@'bx;
        end
        if (given) begin
          came = came + 1;
          if (came <= case_results) check;
        end
      end
      out_ready = 1;
      for (idle = 0; idle < @SILENCE@ && !unknown; idle = idle + 1) begin
        cycle;
        if (given) came = came + 1;
      end
      if (unknown) $display("FAIL: case %0d: x or z on valid or ready", n);
      else if (came > case_results) $display("FAIL: case %0d: more results than the %0d expected", n, case_results);
      else if (came < case_results || sent < case_beats) $display("FAIL: case %0d: no progress in %0d clocks", n, @PATIENCE@);
      halted = unknown || came != case_results || sent < case_beats;
      if (halted) $display("  %0d of %0d beats taken, %0d of %0d results given", sent, case_beats, came, case_results);
      if (halted || wrong != wrong_so_far) cases_wrong = cases_wrong + 1;
    end
  endtask

  initial begin
    verify("cases.mem", @CASES@, @CASE_DIGITS@, @CASES_SUM@);
    verify("beats.mem", @BEATS@, @BEAT_DIGITS@, @BEATS_SUM@);
    verify("results.mem", @RESULTS@, @RESULT_DIGITS@, @RESULTS_SUM@);
    verify("counting.mem", @RESULTS@, @RESULT_DIGITS@, @COUNTING_SUM@);
    verify("places.txt", @RESULTS@, 0, @PLACES_SUM@);
    if (damaged == 0) begin
      $readmemh("cases.mem", cases);
      $readmemh("beats.mem", beats);
      $readmemh("results.mem", results);
      $readmemh("counting.mem", counting);
      places = $fopen("places.txt", "r");
      beat_index = 0;
      result_index = 0;
      setting = cases[0] >> 64;
      reset_unit;
      for (n = 0; n < @CASES@ && !halted; n = n + 1) run_case;
      if (wrong != 0 || halted || result_index != @RESULTS@)
        $display("FAIL: %0d of %0d results differ, in %0d of %0d cases; %0d were not reached",
                 wrong, result_index, cases_wrong, n, @RESULTS@ - result_index);
    end
    ended = 1;
    if (damaged != 0 || wrong != 0 || halted || result_index != @RESULTS@) $fatal(1, "not equal");
    $display("@PASS@");
    $finish(0);
  end

  final if (!ended) $display("FAIL: something else ended the simulation");
endmodule
