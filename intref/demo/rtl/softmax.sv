// Integer softmax of I-BERT (op softmax_ibert), one row at a time, up to K_MAX keys.
//
// A row streams in, in_last with its last key; then every key is exponentiated (eight clocks each), the sum inverted by
// a division of 33 steps, and the probabilities stream out. The constants of the exponential hold still meanwhile.
//
// Widths, each of which the bounds of the op prove to be enough:
//   distance = min(max - x, 30 * ln2)    22 bits, as ln2 <= 2**16; its quotient by ln2 is at most 30: five bits
//   polynomial                           in [0, c], c <= 2**32: 33 bits, though a square stands in it
//   e = polynomial * 2**(30 - q)         63 bits; times a multiplier of 31 bits: 94
//   sum of e16                           15 bits and one for every doubling of the row
//   e16 * f                              33 bits, as e16 is at most the sum that f is the reciprocal of
module softmax #(
    parameter K_MAX = 64
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic               in_last,
    input  logic signed [31:0] x,
    input  logic               mask,
    input  logic        [16:0] ln2,
    input  logic        [25:0] b,
    input  logic        [32:0] c,
    input  logic        [30:0] multiplier,
    input  logic        [6:0]  shift,
    output logic               out_valid,
    input  logic               out_ready,
    output logic               out_last,
    output logic        [8:0]  p
);
  localparam INDEX_W = $clog2(K_MAX);
  localparam SUM_W = 15 + INDEX_W + 1;

  localparam LOAD = 3'd0, DISTANCE = 3'd1, HALVINGS = 3'd2, POLYNOMIAL = 3'd3, PRODUCT = 3'd4, ROUND = 3'd5;
  localparam RECIPROCAL = 3'd6, SEND = 3'd7;
  logic [2:0] state;

  logic signed [31:0] key[0:K_MAX-1];
  logic attended[0:K_MAX-1];
  logic [14:0] e16[0:K_MAX-1];
  logic [INDEX_W-1:0] index, last;
  logic signed [31:0] peak;
  logic any;

  assign in_ready = state == LOAD;

  // distance to the row's maximum, cut where nothing would be left after 30 halvings
  logic [32:0] below;
  logic [21:0] cut, distance;
  assign below = 33'(peak) - 33'(key[index]);
  assign cut = 22'd30 * 22'(ln2);

  // distance = halvings * ln2 + rest, one bit of the quotient a clock
  logic [2:0] bit_index;
  logic [21:0] part;
  logic [4:0] halvings;
  assign part = 22'(ln2) << bit_index;

  logic [25:0] slope;  // positive: rest < ln2 <= b
  logic [43:0] drop;  // 17 bits of rest times 26 of slope, at most c
  logic [32:0] value;
  assign slope = b - 26'(distance);
  assign drop = 44'(slope) * 44'(distance[16:0]);

  // product / 2**shift, ties to even
  logic [62:0] e;
  logic [93:0] product, whole, dropped;
  logic up;
  logic [94:0] scaled;
  logic [14:0] clipped;
  assign e = 63'(value) << (5'd30 - halvings);
  assign whole = product >> shift;
  assign dropped = product << (7'd94 - shift);
  assign up = dropped[93] && (|dropped[92:0] || whole[0]);
  assign scaled = 95'(whole) + 95'(up);
  assign clipped = !attended[index] ? 15'd0 : scaled > 95'd32767 ? 15'd32767 : scaled[14:0];

  // 2**32 / sum, one bit of the quotient a clock
  logic [SUM_W-1:0] sum;
  logic [SUM_W:0] rest, next;
  logic [32:0] f;
  logic [5:0] step;
  assign next = {rest[SUM_W-1:0], step == 0};  // the digits of 2**32: a one, then 32 zeros

  logic [47:0] share;
  assign share = 48'(e16[index]) * 48'(f);
  assign p = share[32:24];
  assign out_valid = state == SEND;
  assign out_last = index == last;

  always_ff @(posedge clk)
    if (!rst_n) begin
      state <= LOAD;
      index <= '0;
      any   <= 1'b0;
    end else
      case (state)
        LOAD:
        if (in_valid) begin
          key[index] <= x;
          attended[index] <= mask;
          if (mask && (!any || x > peak)) peak <= x;
          if (mask) any <= 1'b1;
          last  <= index;
          index <= in_last ? '0 : index + 1'b1;
          sum   <= '0;
          if (in_last) state <= DISTANCE;
        end
        DISTANCE: begin
          distance  <= below > 33'(cut) ? cut : below[21:0];
          bit_index <= 3'd4;
          state     <= HALVINGS;
        end
        HALVINGS: begin
          if (distance >= part) distance <= distance - part;
          halvings[bit_index] <= distance >= part;
          bit_index <= bit_index - 1'b1;
          if (bit_index == 0) state <= POLYNOMIAL;
        end
        POLYNOMIAL: begin
          value <= c - drop[32:0];
          state <= PRODUCT;
        end
        PRODUCT: begin
          product <= 94'(e) * 94'(multiplier);
          state   <= ROUND;
        end
        ROUND: begin
          e16[index] <= clipped;
          sum <= sum + SUM_W'(clipped);
          index <= index == last ? '0 : index + 1'b1;
          rest <= '0;
          step <= '0;
          state <= index == last ? RECIPROCAL : DISTANCE;
        end
        RECIPROCAL: begin
          // An empty sum divides by nothing: every e16 is 0, so what f holds does not matter.
          f <= {f[31:0], next >= (SUM_W + 1)'(sum)};
          rest <= next >= (SUM_W + 1)'(sum) ? next - (SUM_W + 1)'(sum) : next;
          step <= step + 1'b1;
          if (step == 6'd32) state <= SEND;
        end
        default:
        if (out_ready) begin
          index <= index == last ? '0 : index + 1'b1;
          if (index == last) begin
            state <= LOAD;
            any   <= 1'b0;
          end
        end
      endcase
endmodule
