// Integer LayerNorm of I-BERT (op layernorm_ibert), one row at a time, up to D_MAX elements.
//
// A row streams in, in_last with its last element; then the mean (a division of one step a bit), the sum of squares
// (one element a clock), its root (31 steps) and the root's reciprocal (32 steps); then the result streams out.
//
// Widths, each of which the bounds of the op prove to be enough:
//   sum of the row     the width of x and one bit for every doubling of the row
//   centered           one bit more than x
//   sum of squares     62 bits, by the op's contract (C5); so the root has 31
//   centered * f       35 bits: |centered * f| <= 2**33, as centered is at most one step beyond the root
module layernorm #(
    parameter D_MAX = 64,
    parameter X_W   = 27
) (
    input  logic                  clk,
    input  logic                  rst_n,
    input  logic                  in_valid,
    output logic                  in_ready,
    input  logic                  in_last,
    input  logic signed [X_W-1:0] x,
    input  logic signed [63:0]    bias,
    input  logic        [4:0]     shift,
    output logic                  out_valid,
    input  logic                  out_ready,
    output logic                  out_last,
    output logic signed [63:0]    y
);
  localparam INDEX_W = $clog2(D_MAX);
  localparam COUNT_W = INDEX_W + 1;
  localparam TOTAL_W = X_W + INDEX_W;

  localparam LOAD = 3'd0, MEAN = 3'd1, ROUND = 3'd2, SQUARES = 3'd3, ROOT = 3'd4, RECIPROCAL = 3'd5, SEND = 3'd6;
  logic [2:0] state;

  logic signed [X_W-1:0] row[0:D_MAX-1];
  logic signed [63:0] offset[0:D_MAX-1];
  logic [INDEX_W-1:0] index, last;
  logic [COUNT_W-1:0] count;
  logic [5:0] step;

  assign count = COUNT_W'(last) + 1'b1;
  assign in_ready = state == LOAD;

  // floor(total / count) and what remains: 2**(X_W - 1) * count makes the total positive and moves the mean by
  // 2**(X_W - 1), which is taken off again. The mean fits X_W bits, so that many steps do.
  logic signed [TOTAL_W-1:0] total;
  logic [TOTAL_W:0] left;
  logic [TOTAL_W:0] part;
  logic [X_W-1:0] quotient;
  logic signed [X_W:0] mean;
  logic up;
  assign part = (TOTAL_W + 1)'(count) << step;
  assign up = {left, 1'b0} > (TOTAL_W + 2)'(count) || ({left, 1'b0} == (TOTAL_W + 2)'(count) && quotient[0]);

  logic signed [X_W:0] centered, floored;
  logic [2*X_W+1:0] squared;
  logic [61:0] squares;
  assign centered = (X_W + 1)'(row[index]) - mean;
  assign floored = centered >>> shift;
  assign squared = (2 * X_W + 2)'(floored) * (2 * X_W + 2)'(floored);

  // floor(sqrt(squares)), two bits of the square and one of the root a clock
  logic [61:0] digits;
  logic [32:0] remainder, trial, beyond;
  logic [30:0] root;
  assign trial = {remainder[30:0], digits[61:60]};
  assign beyond = {root, 2'b01};

  // floor(2**31 / sigma); 0 for no variance
  logic [46:0] sigma;
  logic [47:0] rest, next;
  logic [31:0] f;
  assign sigma = 47'(root) << shift;
  assign next = {rest[46:0], step == 0};  // the digits of 2**31: a one, then 31 zeros

  logic signed [34:0] scaled, halved;
  assign scaled = 35'(centered) * $signed({3'b0, f});
  assign halved = scaled >>> 1;
  assign y = 64'(halved) + offset[index];
  assign out_valid = state == SEND;
  assign out_last = index == last;

  always_ff @(posedge clk)
    if (!rst_n) begin
      state <= LOAD;
      index <= '0;
      total <= '0;
    end else
      case (state)
        LOAD:
        if (in_valid) begin
          row[index] <= x;
          offset[index] <= bias;
          total <= total + TOTAL_W'(x);
          last <= index;
          index <= in_last ? '0 : index + 1'b1;
          step <= 6'(X_W);
          if (in_last) state <= MEAN;
        end
        MEAN: begin
          if (step == 6'(X_W)) left <= (TOTAL_W + 1)'(total) + ((TOTAL_W + 1)'(count) << (X_W - 1));
          else begin
            quotient[step[4:0]] <= left >= part;
            if (left >= part) left <= left - part;
          end
          step <= step - 1'b1;
          if (step == 0) state <= ROUND;
        end
        ROUND: begin
          mean <= $signed({1'b0, quotient}) - $signed({2'b01, {(X_W - 1) {1'b0}}}) + $signed({{X_W{1'b0}}, up});
          squares <= '0;
          state <= SQUARES;
        end
        SQUARES: begin
          squares <= squares + 62'(squared);
          index   <= index == last ? '0 : index + 1'b1;
          digits  <= squares + 62'(squared);
          step    <= '0;
          {remainder, root} <= '0;
          if (index == last) state <= ROOT;
        end
        ROOT: begin
          remainder <= trial >= beyond ? trial - beyond : trial;
          root <= {root[29:0], trial >= beyond};
          digits <= digits << 2;
          step <= step == 6'd30 ? '0 : step + 1'b1;
          rest <= '0;
          if (step == 6'd30) state <= RECIPROCAL;
        end
        RECIPROCAL: begin
          f <= {f[30:0], root != 0 && next >= 48'(sigma)};
          rest <= next >= 48'(sigma) ? next - 48'(sigma) : next;
          step <= step + 1'b1;
          if (step == 6'd31) state <= SEND;
        end
        default:
        if (out_ready) begin
          index <= index == last ? '0 : index + 1'b1;
          total <= '0;
          if (index == last) state <= LOAD;
        end
      endcase
endmodule
