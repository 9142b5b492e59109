// Requantizer: y = clip(round((x - input_zero_point) * multiplier / 2**shift) + output_zero_point, low, high).
//
// One element a clock, four clocks late. x, multiplier and shift come with every element, so a multiplier per channel
// costs nothing here; the other operands hold still while data is in flight.
//
// Widths, each of which the bounds of op rescale prove to be enough:
//   x - input_zero_point   one bit more than the wider of the two
//   product                the sum of both widths
//   quotient               64 bits: |product / 2**shift| < 2**62 is part of the op's contract (C7), and adding
//                          a rounding and a zero point of 32 bits to it stays below 2**63
module requantizer #(
    parameter X_W = 32,
    parameter Y_W = 8
) (
    input  logic                  clk,
    input  logic                  rst_n,
    input  logic                  in_valid,
    output logic                  in_ready,
    input  logic signed [X_W-1:0] x,
    input  logic signed [31:0]    multiplier,
    input  logic        [6:0]     shift,
    input  logic        [3:0]     rounding,
    input  logic signed [31:0]    input_zero_point,
    input  logic signed [31:0]    output_zero_point,
    input  logic signed [Y_W-1:0] low,
    input  logic signed [Y_W-1:0] high,
    output logic                  out_valid,
    input  logic                  out_ready,
    output logic signed [Y_W-1:0] y
);
  localparam C_W = (X_W > 32 ? X_W : 32) + 1;
  localparam P_W = C_W + 32;
  localparam W = P_W > 96 ? P_W : 96;  // shifts up to 94 look at bits the product does not have: copies of its sign

  localparam FLOOR = 4'd0, CEIL = 4'd1, TOWARD_ZERO = 4'd2, ODD = 4'd3, HALF_UP = 4'd4, HALF_DOWN = 4'd5;
  localparam HALF_AWAY = 4'd6, HALF_TO_ZERO = 4'd7;  // 8: half_even

  // The whole pipeline moves, or none of it.
  logic move;
  assign move = !out_valid || out_ready;
  assign in_ready = move;

  logic valid_1, valid_2, valid_3;
  always_ff @(posedge clk)
    if (!rst_n) {valid_1, valid_2, valid_3, out_valid} <= 4'b0;
    else if (move) {valid_1, valid_2, valid_3, out_valid} <= {in_valid, valid_1, valid_2, valid_3};

  // 1: centre
  logic signed [C_W-1:0] centered;
  logic signed [31:0] multiplier_1;
  logic [6:0] shift_1;
  always_ff @(posedge clk)
    if (move) begin
      centered     <= C_W'(x) - C_W'(input_zero_point);
      multiplier_1 <= multiplier;
      shift_1      <= shift;
    end

  // 2: multiply
  logic signed [W-1:0] product;
  logic [6:0] shift_2;
  always_ff @(posedge clk)
    if (move) begin
      product <= W'(centered) * W'(multiplier_1);
      shift_2 <= shift_1;
    end

  // 3: shift; keep of the dropped bits the highest (guard) and whether any other is set (sticky)
  logic signed [63:0] quotient;
  logic guard, sticky;
  logic signed [W-1:0] shifted;
  logic [W-1:0] dropped;  // the dropped bits, at the top of the word
  assign shifted = product >>> shift_2;
  assign dropped = product << (W - shift_2);
  always_ff @(posedge clk)
    if (move) begin
      quotient <= shifted[63:0];
      guard    <= dropped[W-1];
      sticky   <= |dropped[W-2:0];
    end

  // 4: round, add the zero point, clip
  logic negative, odd, up;
  assign negative = quotient[63];
  assign odd = quotient[0];
  always_comb
    case (rounding)
      FLOOR:        up = 1'b0;
      CEIL:         up = guard || sticky;
      TOWARD_ZERO:  up = (guard || sticky) && negative;
      ODD:          up = (guard || sticky) && !odd;
      HALF_UP:      up = guard;
      HALF_DOWN:    up = guard && sticky;
      HALF_AWAY:    up = guard && (sticky || !negative);
      HALF_TO_ZERO: up = guard && (sticky || negative);
      default:      up = guard && (sticky || odd);
    endcase
  logic signed [63:0] moved;
  assign moved = quotient + $signed({63'b0, up}) + 64'(output_zero_point);
  always_ff @(posedge clk)
    if (move)
      if (moved < 64'(low)) y <= low;
      else if (moved > 64'(high)) y <= high;
      else y <= moved[Y_W-1:0];
endmodule
