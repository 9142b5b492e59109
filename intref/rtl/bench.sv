  // The wires of the unit, as three words: what holds still during a case, a beat in, a beat out.
  reg clk = 0, in_reset = 0, in_valid = 0, out_ready = 0;
  reg  [@SETTING_W@-1:0] setting;
  reg  [@BEAT_W@-1:0] beat;
  wire [@RESULT_W@-1:0] result;
  wire in_ready, out_valid;

@DUT@

  // One clock. What stands on the wires just before the rising edge is what the unit takes and gives with it, so no
  // order of events within an edge can matter. Inputs change at the falling edge.
  reg taken, given, unknown;
  reg [@RESULT_W@-1:0] got;
@PIPE@
  task cycle;
    begin
      #4;
      taken = in_valid && in_ready === 1'b1;
      given = out_ready && out_valid === 1'b1;
      unknown = !in_reset && ((out_valid ^ out_valid) !== 1'b0 || (in_valid && (in_ready ^ in_ready) !== 1'b0));
      got = result;
      #1 clk = 1;
      #5 clk = 0;@SHIFT@
    end
  endtask

  // Gaps before a beat and pauses of the reader, one in four each, to try every stall.
  reg [15:0] noise = 16'hace1;
  task stall;
    noise = {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
  endtask

  task reset_unit;
    begin
      in_valid = 0;
      beat = @BEAT_W@'bx;
      in_reset = 1;
      repeat (4) cycle;
      in_reset = 0;
    end
  endtask
